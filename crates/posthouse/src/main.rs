//! The program: a node, and the tool for it. All of it is on the floors below; here are only the allocator and the exit code.

use std::process::ExitCode;

/// Small and quick with many threads; what 200 sessions have freed goes back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Huge pages are held for what small buffers need once: they double the memory of a busy node. Without the call it runs, only fatter.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    admin::main()
}

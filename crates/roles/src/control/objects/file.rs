//! Changes of objects where the organization document is a file of this machine.
//! Always holds: a power cut leaves the old or the new document, whole; of two changes through this node none is lost.

use std::io;
use std::path::Path;

use directory::Problems;
use directory::hide_both;
use directory::objects::Change;

use super::{Control, Refusal, UNSOUND, edited, nothing_to_do, said};
use crate::difference::difference;
use crate::view;

impl Control {
    /// Writes the changed document into its file and has it run. Blocks.
    pub(super) fn change_file(&self, change: &Change, dry_run: bool) -> Result<view::ObjectChanged, Refusal> {
        let config = &self.node.config;
        let Some(file) = config.org_file() else {
            return Err(Refusal::bad("there is no document to change".into(), "start the node with --org"));
        };
        let _one_at_a_time = config.writing();
        let old = self.read_written(file)?;
        let new = edited(&old, change)?;
        let (before, after) = hide_both(&old, &new);
        let lines = difference(&before, &after);
        let warnings = match config.read_edited(&new) {
            Ok(loaded) => texts(&loaded.warnings),
            Err(problems) => return Err(Refusal::bad(problems.to_string(), UNSOUND)),
        };
        let mut changed = view::ObjectChanged {
            done: said(change, dry_run),
            dry_run,
            difference: lines,
            file: Some(file.display().to_string()),
            warnings,
            ..Default::default()
        };
        if old == new {
            changed.done = nothing_to_do(change);
        } else if !dry_run {
            self.write_and_run(file, &old, &new)?;
            changed.after_restart = self.config().difference;
        }
        Ok(changed)
    }

    /// The file as it is written, if that is what runs.
    fn read_written(&self, file: &Path) -> Result<String, Refusal> {
        let failed = |error: io::Error| {
            let error = format!("{}: {error}", file.display());
            Refusal::failed(error, "nothing was changed; the node's user must be able to read it")
        };
        let bytes = self.node.world.disk.read_all(file).map_err(failed)?;
        let text = String::from_utf8(bytes).map_err(|error| failed(io::Error::other(error)))?;
        if text != *self.node.config.loaded().org_text {
            let error = format!("{} is not what runs here: somebody has changed it", file.display());
            return Err(Refusal::busy(
                error,
                "nothing was changed; posthouse status shows the difference, posthouse reload takes it, then say this again",
            ));
        }
        Ok(text)
    }

    /// If the new document cannot run here (a port is taken), the old one is put back.
    fn write_and_run(&self, file: &Path, old: &str, new: &str) -> Result<(), Refusal> {
        let write = |text: &str| self.node.world.disk.replace_durable_alike(file, text.as_bytes());
        write(new).map_err(|error| {
            let error = format!("{} cannot be written: {error}", file.display());
            Refusal::failed(error, "nothing was changed; the node's user must be able to write it and its directory")
        })?;
        let Err(why) = self.node.reload() else { return Ok(()) };
        match write(old) {
            Ok(()) => Err(Refusal::bad(why, "nothing was changed: the document cannot run here")),
            Err(error) => Err(Refusal::failed(
                format!("{why}; and {} could not be put back: {error}", file.display()),
                "what ran before runs on; correct the file by hand, then posthouse reload",
            )),
        }
    }
}

fn texts(problems: &Problems) -> Vec<String> {
    problems.0.iter().map(|problem| problem.to_string()).collect()
}

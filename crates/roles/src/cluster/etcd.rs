//! Owns the translation of `[cluster]` into what the way to etcd needs: files are read here. Knows no etcd calls.

use std::path::Path;

use cluster::Settings;
use cluster::etcd::{ATTEMPT_MS, Access, Endpoint, Trust};
use cluster::ownership::Timing;
use world::World;

/// The error is for the operator.
pub fn settings(world: &World, written: &directory::Cluster) -> Result<Settings, String> {
    let read = |path: &Path| {
        let bytes = world.disk.read_all(path);
        bytes.map_err(|error| format!("{}: {error}; see [cluster] in posthouse.toml", path.display()))
    };
    let endpoints: Result<Vec<Endpoint>, String> = written.endpoints.iter().map(|url| Endpoint::parse(url)).collect();
    let ca_pem = written.ca.as_deref().map(read).transpose()?;
    let client_pem = match &written.own {
        Some(own) => Some((read(&own.certificate)?, read(&own.key)?)),
        None => None,
    };
    let user = match &written.user {
        Some(user) => {
            let password =
                String::from_utf8_lossy(&read(&user.password_file)?).lines().next().unwrap_or("").to_string();
            Some((user.name.clone(), password))
        }
        None => None,
    };
    Ok(Settings {
        access: Access { endpoints: endpoints?, trust: Trust { ca_pem, client_pem }, user, attempt_ms: ATTEMPT_MS },
        prefix: written.prefix.clone(),
        ttl_s: written.ttl_ms.div_ceil(1000),
        timing: Timing::default(),
    })
}

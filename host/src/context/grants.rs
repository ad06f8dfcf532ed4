//! The grants of a job: the places that its plugin may read and write, and the paths that no grant reaches. They
//! follow from the job's settings.

use crate::config::{Access, Location, NatsLogin, Secret, Settings, SourceSettings};
use crate::grants::{GrantedDirectory, Grants, Withheld};
use std::collections::BTreeMap;
use std::path::Path;

/// The grants of a job to its plugin.
pub(super) fn grants(settings: &Settings) -> Grants {
    let (mut directories, mut objects) = (BTreeMap::new(), BTreeMap::new());
    for (name, grant) in settings.job.directories.clone() {
        match grant.location {
            Location::Directory(path) => {
                directories.insert(name, GrantedDirectory { path, access: grant.access });
            }
            Location::Objects(url) => {
                objects.insert(name, url);
            }
        }
    }
    Grants::new(settings.job.directory.clone(), directories).with_objects(objects).withholding(withheld(settings))
}

/// The paths that no grant reaches.
fn withheld(settings: &Settings) -> Vec<Withheld> {
    let job = &settings.job;
    let mut withheld = vec![
        Withheld { what: "the job file".to_owned(), path: job.file.clone(), from: Access::Read },
        Withheld { what: "the plugin".to_owned(), path: job.plugin.clone(), from: Access::Read },
    ];
    if let Some(Location::Directory(path)) = &job.checkpoint {
        withheld.push(Withheld { what: "the checkpoint directory".to_owned(), path: path.clone(), from: Access::Read });
    }
    let of_source = |(name, source): (&String, &SourceSettings)| match source {
        SourceSettings::TextFiles { path, .. }
        | SourceSettings::LogFile { path, .. }
        | SourceSettings::Queue { path, .. } => {
            Some(Withheld { what: format!("source `{name}`"), path: path.clone(), from: Access::Write })
        }
        SourceSettings::Socket { .. }
        | SourceSettings::Http(_)
        | SourceSettings::Nats(_)
        | SourceSettings::Custom { .. } => None,
    };
    withheld.extend(settings.sources.iter().filter_map(of_source));
    for (name, source) in &settings.sources {
        withheld.extend(secret_files(source).into_iter().map(|(path, what)| Withheld {
            what: format!("the {what} of source `{name}`"),
            path: path.to_owned(),
            from: Access::Read,
        }));
    }
    withheld
}

/// The files with secrets of a source, each with the key that names it.
fn secret_files(source: &SourceSettings) -> Vec<(&Path, &'static str)> {
    let (secret, key) = match source {
        SourceSettings::Http(http) => {
            let key = http.tls.as_ref().map(|tls| (tls.key.as_path(), "tls_key"));
            (http.token.as_ref().map(|token| (token, "token")), key)
        }
        SourceSettings::Nats(nats) => (nats.login.as_ref().map(NatsLogin::secret), None),
        _ => (None, None),
    };
    let file = secret.and_then(|(secret, what)| match secret {
        Secret::File(path) => Some((path.as_path(), what)),
        Secret::Variable(_) => None,
    });
    file.into_iter().chain(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Facts};

    /// A plugin can neither read nor replace the token and the key with which its job serves clients.
    #[test]
    fn the_secrets_of_sources_are_withheld() {
        let text = "[job]\nname = \"wc\"\nplugin = \"wc.wasm\"\n[sources.events]\ntype = \"http\"\n\
                    address = \"127.0.0.1:0\"\ntoken = \"file:token.txt\"\ntls_certificate = \"c.pem\"\ntls_key = \"k.pem\"\n";
        let settings = config::load(text, Path::new("/jobs/job.toml"), &[], &Facts { cpus: 1 }).unwrap();
        let of_source = |withheld: &Withheld| withheld.what.contains("`events`");
        let secret = |what: &str, path: &str| Withheld { what: what.into(), path: path.into(), from: Access::Read };
        assert_eq!(
            withheld(&settings).into_iter().filter(of_source).collect::<Vec<_>>(),
            [
                secret("the token of source `events`", "/jobs/token.txt"),
                secret("the tls_key of source `events`", "/jobs/k.pem"),
            ]
        );
    }
}

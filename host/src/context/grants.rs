//! The grants of a job: the places that its plugin may read and write, and the paths that no grant reaches. They
//! follow from the job's settings.

use crate::config::{Access, ConnectionSettings, Location, NatsLogin, Secret, Settings, SourceSettings};
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
        | SourceSettings::Kafka(_)
        | SourceSettings::KafkaReceiver(_)
        | SourceSettings::Custom { .. } => None,
    };
    withheld.extend(settings.sources.iter().filter_map(of_source));
    let sources = settings.sources.iter().map(|(name, source)| (format!("source `{name}`"), secret_files(source)));
    let connections = settings.connections.iter().map(|(name, connection)| match connection {
        ConnectionSettings::Kafka(kafka) => (format!("connection `{name}`"), files_of(kafka.client.secrets())),
    });
    for (of, files) in sources.chain(connections) {
        withheld.extend(files.into_iter().map(|(path, what)| Withheld {
            what: format!("the {what} of {of}"),
            path: path.to_owned(),
            from: Access::Read,
        }));
    }
    withheld
}

/// The secrets that are files, each with the key that names it.
fn files_of(secrets: Vec<(&Secret, String)>) -> Vec<(&Path, String)> {
    let mut files = Vec::new();
    for (secret, what) in secrets {
        if let Secret::File(path) = secret {
            files.push((path.as_path(), what));
        }
    }
    files
}

/// The files with secrets of a source, each with the key that names it.
fn secret_files(source: &SourceSettings) -> Vec<(&Path, String)> {
    let (secrets, key) = match source {
        SourceSettings::Http(http) => {
            let key = http.tls.as_ref().map(|tls| (tls.key.as_path(), "tls_key".to_owned()));
            (http.token.iter().map(|token| (token, "token".to_owned())).collect(), key)
        }
        SourceSettings::Nats(nats) => {
            let secret = nats.login.iter().map(NatsLogin::secret);
            (secret.map(|(secret, key)| (secret, key.to_owned())).collect(), None)
        }
        SourceSettings::Kafka(kafka) => (kafka.client.secrets(), None),
        SourceSettings::KafkaReceiver(kafka) => (kafka.client.secrets(), None),
        SourceSettings::Socket { .. }
        | SourceSettings::TextFiles { .. }
        | SourceSettings::LogFile { .. }
        | SourceSettings::Queue { .. }
        | SourceSettings::Custom { .. } => (Vec::new(), None),
    };
    files_of(secrets).into_iter().chain(key).collect()
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

//! The grants of a job: the places that its plugin may read and write, and the paths that no grant reaches. They
//! follow from the job's settings.

use crate::config::{Access, Location, Settings, SourceSettings};
use crate::grants::{GrantedDirectory, Grants, Withheld};
use std::collections::BTreeMap;

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
        SourceSettings::Socket { .. } | SourceSettings::Custom { .. } => None,
    };
    withheld.extend(settings.sources.iter().filter_map(of_source));
    withheld
}

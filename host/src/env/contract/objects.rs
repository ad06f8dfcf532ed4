//! [`Objects`](super::super::Objects): outputs behind a network are visible as a whole or not at all, from every
//! executor.

use super::super::Objects;
use super::{in_each_world, on};
use std::io;

async fn names(objects: &dyn Objects, directory: &str) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = objects.list(directory).await?.into_iter().map(|piece| piece.name).collect();
    names.sort();
    Ok(names)
}

#[test]
fn every_executor_can_save_list_and_remove_objects() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            let objects = world.outputs.clone();
            let seen = on(&*executor, async move {
                let objects = &*objects;
                let nothing = names(objects, "out").await?;
                objects.put("out/a", b"1".to_vec()).await?;
                objects.put("out/a", b"22".to_vec()).await?;
                let mut upload = objects.upload("out/below/b").await?;
                upload.add(b"333".to_vec()).await?;
                let unfinished = names(objects, "out").await?;
                upload.complete().await?;
                // Dropping an upload gives it up.
                drop(objects.upload("out/c").await?);
                let both = names(objects, "out").await?;
                objects.remove(vec!["out/a".into(), "out/below/b".into(), "out/nothing".into()]).await?;
                io::Result::Ok((nothing, unfinished, both, names(objects, "out/below").await?))
            });
            let (nothing, unfinished, both, rest) = seen.await.unwrap().unwrap();
            assert_eq!((nothing.len(), rest.len()), (0, 0), "{name}");
            assert_eq!(unfinished, ["a"], "{name}");
            assert_eq!(both, ["a", "below/"], "{name}");
        }
    });
}

//! Blocks: when they are cut, stored and reported, and what happens if there is no room.

use super::*;

/// S2.24: records given one by one are put into blocks, one for each block interval, in order.
#[test]
fn single_records_become_blocks_at_multiples_of_the_block_interval() {
    let run = |context: ReceiverContext, _| async move {
        for number in 0..5 {
            context.store_line(&format!("line {number}")).await?;
            context.sleep(ms(90)).await;
        }
        Ok(())
    };
    let outcome = world().run(making(run), &[]);
    let lines = |numbers: std::ops::Range<u32>| numbers.map(|number| format!("line {number}")).collect::<Vec<_>>();
    assert_eq!(outcome.blocks, [lines(0..3), lines(3..5)]);
    let events: Vec<&str> = outcome.log.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(events, ["ReceiverStarted lines", "ReceiverStopped lines"]);
}

/// S2.46: a block of a reliable receiver is in the store, and recorded, before the receiver can acknowledge it.
#[test]
fn storing_a_block_returns_after_it_is_stored_and_recorded() {
    let seen: Log = Log::default();
    let (receiver_saw, tracker_saw) = (seen.clone(), seen.clone());
    let run = move |context: ReceiverContext, _| {
        let saw = receiver_saw.clone();
        async move {
            context.store_line("before").await?;
            for block in 0..3 {
                context.store_lines(&[format!("{block}a"), format!("{block}\nb")]).await?;
                saw.lock().unwrap().push((0, format!("acknowledged {block}")));
            }
            Ok(())
        }
    };
    let recorded = move |store: &BlockStore, block: &StoredBlock| {
        tracker_saw.lock().unwrap().push((0, format!("recorded {}", texts(store, &block.id)[0])));
    };
    let outcome = world().run_with(WhenFull::Wait, RecordType::text(), making(run), &[], recorded);
    let seen: Vec<String> = seen.lock().unwrap().iter().map(|(_, line)| line.clone()).collect();
    let expected = [
        "recorded before",
        "recorded 0a",
        "acknowledged 0",
        "recorded 1a",
        "acknowledged 1",
        "recorded 2a",
        "acknowledged 2",
    ];
    assert_eq!(seen, expected);
    assert_eq!(outcome.blocks[1], ["0a", "0\nb"], "a record may hold a line end");
}

/// S2.46, S2.51: a full store makes a reliable receiver wait, whatever the policy is. The receiver acknowledges nothing
/// in the meantime.
#[test]
fn a_reliable_receiver_waits_for_room() {
    let acknowledged = Arc::new(Mutex::new(0));
    let count = acknowledged.clone();
    let run = move |context: ReceiverContext, _| {
        let count = count.clone();
        async move {
            loop {
                context.store_lines(&["x".repeat(900)]).await?;
                *count.lock().unwrap() += 1;
            }
        }
    };
    for when_full in [WhenFull::Wait, WhenFull::DropNewest] {
        *acknowledged.lock().unwrap() = 0;
        let stops = [(5000, StopReceiver::Now)];
        let world = World::new(1, 4000);
        let outcome = world.run_with(when_full, RecordType::text(), making(run.clone()), &stops, |_, _| {});
        let acknowledged = *acknowledged.lock().unwrap();
        assert!((1..=4).contains(&acknowledged), "{acknowledged}");
        assert_eq!(outcome.blocks.len(), acknowledged);
    }
}

/// S2.51: if there is no room for data of an unreliable receiver, and the job asks for this, the data is dropped and
/// this is reported. Nothing fails, and nothing waits.
#[test]
fn a_full_store_drops_the_newest_block_if_the_job_wants_it() {
    let run = |context: ReceiverContext, _| async move {
        for number in 0..20 {
            context.store_line(&format!("{number} {}", "x".repeat(900))).await?;
            context.sleep(BLOCK_INTERVAL).await;
        }
        Ok(())
    };
    let world = World::new(1, 4000);
    let outcome = world.run_with(WhenFull::DropNewest, RecordType::text(), making(run), &[], |_, _| {});
    let dropped = outcome.at("RecordsDropped lines: 1 record").len();
    assert!(dropped >= 16 && outcome.blocks.len() + dropped == 20, "{:?}", outcome.log);
    assert_eq!(outcome.at("ReceiverStopped"), [5000], "it never waited");
}

/// A future that a receiver has left behind when it ended stores nothing any more, and does not make the receiver look
/// active.
#[test]
fn a_receiver_that_has_ended_stores_nothing() {
    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    let run = move |context: ReceiverContext, _| {
        let keep = keep.clone();
        async move {
            context.store_line("given").await?;
            *keep.lock().unwrap() = Some(context);
            Ok(())
        }
    };
    let world = world();
    let log = world.log.clone();
    let outcome = world.run(making(run), &[]);
    let context = kept.lock().unwrap().take().unwrap();
    assert_eq!(context.store_line("late").now_or_never(), Some(Err(StoreError::Stopped)));
    assert_eq!(context.store_lines(&["late"]).now_or_never(), Some(Err(StoreError::Stopped)));
    context.connected();
    assert_eq!((log.lock().unwrap().len(), outcome.log.len()), (2, 2));
    assert_eq!(outcome.records(), ["given"]);
}

/// A closed store takes nothing, so nothing must be acknowledged.
#[test]
fn a_block_that_no_batch_will_read_is_refused() {
    let world = world();
    world.store.close();
    let seen = Arc::new(Mutex::new(None));
    let kept = seen.clone();
    let run = move |context: ReceiverContext, _| {
        let kept = kept.clone();
        async move {
            *kept.lock().unwrap() = Some(context.store_lines(&["lost"]).await);
            Ok(())
        }
    };
    let outcome = world.run(making(run), &[]);
    assert_eq!(*seen.lock().unwrap(), Some(Err(StoreError::Stopped)));
    assert!(outcome.blocks.is_empty());
}

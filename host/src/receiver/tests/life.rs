//! The life of a receiver: restarts and stops.

use super::*;

/// S2.48: a receiver that fails is started again after the delay, and keeps its fields. An error can change the delay.
#[test]
fn a_failed_receiver_is_started_again_after_the_delay() {
    let run = |context: ReceiverContext, start| async move {
        context.store_line(&format!("start {start}")).await?;
        match start {
            1 => Err(ReceiverError::new("lost")),
            2 => Err(ReceiverError::new("busy").restart_after(ms(50))),
            3 => {
                context.report_error("odd record");
                context.sleep(ms(10)).await;
                Err(ReceiverError::new("gone").and_stop())
            }
            _ => unreachable!("it was to stop"),
        }
    };
    let outcome = world().run(making(run), &[]);
    assert_eq!(outcome.records(), ["start 1", "start 2", "start 3"]);
    let expected = [
        (1000, "ReceiverStarted lines"),
        (1000, "ReceiverError lines: lost; next try in 2000 ms"),
        (3000, "ReceiverStarted lines"),
        (3000, "ReceiverError lines: busy; next try in 50 ms"),
        (3050, "ReceiverStarted lines"),
        (3050, "ReceiverError lines: odd record"),
        (3060, "ReceiverError lines: gone"),
        (3060, "ReceiverStopped lines"),
    ];
    assert_eq!(outcome.log, expected.map(|(at, line)| (at, line.to_owned())));
}

/// A panic is an error of the receiver, and not of the host. The next attempt begins with a new receiver.
#[test]
fn a_receiver_that_panics_is_made_again() {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = starts.clone();
    let run = move |context: ReceiverContext, start| {
        let seen = seen.clone();
        async move {
            seen.lock().unwrap().push(start);
            context.store_line("kept").await?;
            if seen.lock().unwrap().len() == 3 {
                return Ok(());
            }
            panic!("no {start}")
        }
    };
    let outcome = world().run(making(run), &[]);
    assert_eq!(*starts.lock().unwrap(), [1, 1, 1]);
    assert_eq!(outcome.records(), ["kept", "kept", "kept"]);
    assert_eq!(outcome.at("ReceiverError lines: the receiver panicked: no 1; next try in 2000 ms"), [1000, 3000]);
}

/// S1.27: a receiver that is asked to stop stores and acknowledges the records that it holds, and then ends.
#[test]
fn a_graceful_stop_lets_a_receiver_finish() {
    let run = |context: ReceiverContext, _| async move {
        context.stopped().await;
        assert!(context.is_stopped());
        context.sleep(ms(700)).await;
        context.store_lines(&["last block"]).await?;
        context.store_line("last line").await?;
        context.store_bytes(b"half a li").await?;
        Ok(())
    };
    let outcome = world().run(making(run), &[(1500, StopReceiver::Graceful)]);
    assert_eq!(outcome.records(), ["last block", "last line"]);
    assert_eq!(outcome.at("LineCutOff lines"), [2200]);
    assert_eq!(outcome.at("ReceiverStopped"), [2200]);
}

/// A receiver that does not end when it is asked to stop is dropped after ten seconds. The records that it has stored
/// count.
#[test]
fn a_receiver_that_does_not_stop_is_dropped() {
    let run = |context: ReceiverContext, _| async move {
        context.store_line("given").await?;
        std::future::pending().await
    };
    let outcome = world().run(making(run), &[(1100, StopReceiver::Graceful)]);
    assert_eq!(outcome.records(), ["given"]);
    assert_eq!(outcome.at("ReceiverError lines: it did not stop within 10 s"), [11_100]);
    assert_eq!(outcome.at("ReceiverStopped"), [11_100]);
}

/// The receiver is stopped while it waits for room: at once, or by a graceful stop that becomes a stop at once.
#[test]
fn a_stop_at_once_does_not_wait_for_a_store_that_is_full() {
    let run = |context: ReceiverContext, _| async move {
        loop {
            context.store_lines(&["x".repeat(900)]).await?;
        }
    };
    let stops = [(1500, StopReceiver::Graceful), (1600, StopReceiver::Now)];
    for stops in [&stops[..], &stops[1..]] {
        let outcome = World::new(1, 1).run(making(run), stops);
        assert_eq!(outcome.blocks.len(), 1, "the store takes one block in any case");
        assert_eq!(outcome.at("ReceiverStopped"), [1600]);
    }
}

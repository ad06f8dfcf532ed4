//! Rates: how calls that store records wait, and what is stored when a receiver stops or a call is dropped.

use super::*;

/// A world in which the rate of the receiver is limited.
fn limited(rate: u64) -> (World, watch::Sender<Option<u64>>) {
    let (send, rate_limit) = watch::channel(Some(rate));
    (World { rate_limit, ..world() }, send)
}

/// S12.18: whatever call stores records, they come in at the rate of the receiver, and none is lost.
#[test]
fn every_way_to_store_is_limited() {
    type Run = fn(ReceiverContext) -> BoxFuture<'static, Result<(), StoreError>>;
    let lines = || (0..100).map(|number| format!("{number}\n")).collect::<String>();
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let ways: [(&str, Run); 5] = [
        ("bytes", |context| {
            Box::pin(async move {
                let bytes: String = (0..100).map(|number| format!("{number}\n")).collect();
                context.store_bytes(bytes.as_bytes()).await
            })
        }),
        ("line", |context| {
            Box::pin(async move {
                for number in 0..100 {
                    context.store_line(&number.to_string()).await?;
                }
                Ok(())
            })
        }),
        ("rows", |context| {
            Box::pin(async move {
                let rows: Vec<serde_json::Value> = (0..100).map(|number: u32| number.to_string().into()).collect();
                context.store_rows(context.rows_of_json(&rows)?).await
            })
        }),
        ("lines", |context| {
            Box::pin(async move {
                for number in (0..100).step_by(10) {
                    let lines: Vec<String> = (number..number + 10).map(|number| number.to_string()).collect();
                    context.store_lines(&lines).await?;
                }
                Ok(())
            })
        }),
        ("text", |context| {
            Box::pin(async move {
                let text: String = (0..100).map(|number| format!("{number}\n")).collect();
                context.store_line(text.trim_end()).await?;
                context.store_line("later").await
            })
        }),
    ];
    assert_eq!(lines().lines().count(), expected.len());
    for (way, run) in ways {
        let (world, _send) = limited(50);
        let outcome = world.run(making(move |context, _| async move { Ok(run(context).await?) }), &[]);
        let mut records = outcome.records();
        if way == "text" {
            assert_eq!(records.pop().as_deref(), Some("later"));
        }
        assert_eq!(records, expected, "{way}");
        let ended = outcome.at("ReceiverStopped")[0] - 1000;
        // A block of ten records waits only for those before it.
        assert!((1780..=2030).contains(&ended), "{way} took {ended} ms");
        // Blocks are cut while a call waits.
        assert!(outcome.blocks.len() >= if way == "text" { 2 } else { 9 }, "{way}: {} blocks", outcome.blocks.len());
    }
}

/// S1.27, S12.18: a receiver that has to stop stores at once what it has received, however low its rate is.
#[test]
fn a_graceful_stop_does_not_wait_for_the_rate() {
    let run = |context: ReceiverContext, _| async move {
        context.store_bytes("x\n".repeat(500).as_bytes()).await?;
        context.store_lines(&["y"; 500]).await?;
        context.store_lines(&["z"; 500]).await?;
        Ok(())
    };
    let (world, _send) = limited(1);
    let outcome = world.run(making(run), &[(3500, StopReceiver::Graceful)]);
    assert_eq!(outcome.records().len(), 1500);
    assert_eq!(outcome.at("ReceiverStopped"), [3500]);
    let (world, _send) = limited(1);
    let outcome = world.run(making(run), &[(3500, StopReceiver::Now)]);
    assert_eq!(outcome.at("ReceiverStopped"), [3500]);
    assert!(outcome.records().len() < 5);
}

/// A call that is dropped while it waits for the rate loses nothing and stores nothing twice.
#[test]
fn a_call_that_is_dropped_loses_nothing() {
    let run = |context: ReceiverContext, _| async move {
        for text in ["a\nb\nc\nd", "e\nf\n", "g\n"] {
            tokio::select! {
                biased;
                stored = context.store_bytes(text.as_bytes()) => stored?,
                () = context.sleep(ms(150)) => {}
            }
        }
        context.sleep(ms(400)).await;
        Err(ReceiverError::new("lost").and_stop())
    };
    let (world, _send) = limited(5);
    let outcome = world.run(making(run), &[]);
    assert_eq!(outcome.records(), ["a", "b", "c", "de", "f", "g"]);
}

/// A receiver that waits continues at once when its rate is raised.
#[test]
fn a_new_rate_holds_at_once() {
    let (world, send) = limited(1);
    let run = move |context: ReceiverContext, _| {
        let send = send.clone();
        async move {
            let storing = async {
                context.store_lines(&["x"; 1000]).await?;
                context.store_lines(&["y"]).await?;
                context.store_bytes(b"z\nz\n").await?;
                Ok(())
            };
            let raising = async {
                context.sleep(ms(250)).await;
                send.send_replace(None);
                Ok::<_, StoreError>(())
            };
            tokio::try_join!(storing, raising)?;
            Ok(())
        }
    };
    let outcome = world.run(making(run), &[]);
    assert_eq!(outcome.records().len(), 1003);
    assert_eq!(outcome.at("ReceiverStopped"), [1250]);
}

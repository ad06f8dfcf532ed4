//! Schedules, servers, clocks and the end of runs.

use super::*;
use crate::time::Duration;
use std::io::Write as _;
use std::path::Path;
use tokio::io::AsyncReadExt as _;

fn interleaving(seed: u64) -> Vec<String> {
    let simulation = Simulation::new(seed, Time::from_ms(1000));
    let env = simulation.env();
    let note = Arc::new(simulation.note());
    simulation
        .run(async move {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            for id in 0..5u32 {
                let (clock, note, sender) = (env.clock.clone(), note.clone(), sender.clone());
                env.control.spawn(
                    "sleeper",
                    Box::pin(async move {
                        note(&format!("{id} begins"));
                        clock.sleep_until(Time::from_ms(2000)).await;
                        note(&format!("{id} ends"));
                        let _ = sender.send(id).await;
                    }),
                );
            }
            drop(sender);
            while receiver.recv().await.is_some() {}
        })
        .unwrap();
    simulation.log()
}

#[test]
fn a_seed_decides_the_order_and_repeats_it() {
    assert_eq!(interleaving(7), interleaving(7));
    assert!((0..10).any(|seed| interleaving(seed) != interleaving(7)), "every seed gives the same order");
}

#[test]
fn a_scripted_server_sends_when_the_script_says_and_then_closes() {
    let simulation = Simulation::new(1, Time::from_ms(0));
    let sends = vec![(Duration::from_millis(5), b"ab".to_vec()), (Duration::from_millis(5), b"c".to_vec())];
    simulation.server("server:1", vec![Connection { sends, stays_open: false }]);
    let env = simulation.env();
    let (text, at) = simulation
        .run(async move {
            let mut stream = env.network.connect("server:1").await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert!(env.network.connect("server:1").await.is_err());
            (text, env.clock.now())
        })
        .unwrap();
    assert_eq!((text.as_str(), at.as_ms()), ("abc", 10));
}

#[test]
fn waiting_for_nothing_is_an_error() {
    let stuck = Simulation::new(1, Time::from_ms(0)).run(std::future::pending::<()>());
    assert_eq!(
        stuck.unwrap_err().to_string(),
        "the simulation of seed 1 is stuck at 1970-01-01T00:00:00Z: 1 futures wait for each other"
    );
}

/// Events left over from one run must not appear in the next run.
#[test]
fn a_second_run_goes_on_from_the_time_and_hears_nothing_of_the_first() {
    let simulation = Simulation::new(1, Time::from_ms(0));
    let env = simulation.env();
    let note = Arc::new(simulation.note());
    let (first, first_note) = (env.clone(), note.clone());
    let main = async move {
        for at in [5, 50] {
            let (clock, note) = (first.clock.clone(), first_note.clone());
            let sleeper = async move {
                clock.sleep_until(Time::from_ms(at)).await;
                note(&format!("slept until {at}"));
            };
            first.control.spawn("sleeper", Box::pin(sleeper));
        }
        first.clock.sleep_until(Time::from_ms(10)).await;
        let (clock, note) = (first.clock.clone(), first_note.clone());
        first.control.spawn(
            "too late",
            Box::pin(async move {
                note("started");
                clock.sleep_until(Time::from_ms(1)).await;
            }),
        );
    };
    simulation.run(main).unwrap();
    let second = env.clone();
    simulation.run(async move { second.clock.sleep_until(Time::from_ms(100)).await }).unwrap();
    assert_eq!(env.clock.now(), Time::from_ms(100));
    assert_eq!(simulation.log(), ["5 ms slept until 5"]);
    let stuck = simulation.run(std::future::pending::<()>()).unwrap_err();
    assert_eq!(stuck, SimulationError::Stuck { seed: 1, at: Time::from_ms(100), waiting: 1 });
}

#[test]
fn a_future_that_is_dropped_takes_its_timer_with_it_and_may_spawn_in_vain() {
    struct Spawns(Env, Arc<Mutex<u32>>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            *lock(&self.1) += 1;
            self.0.control.spawn("in vain", Box::pin(async { panic!("this world has ended") }));
        }
    }
    let simulation = Simulation::new(1, Time::from_ms(0));
    let (env, dropped) = (simulation.env(), Arc::new(Mutex::new(0)));
    let (first, spawns) = (env.clone(), Spawns(env.clone(), dropped.clone()));
    let main = async move {
        let waits = async move {
            let _spawns = spawns;
            std::future::pending::<()>().await;
        };
        first.control.spawn("waits", Box::pin(waits));
        tokio::select! {
            biased;
            () = first.clock.sleep_until(Time::from_ms(70)) => {}
            () = first.clock.sleep_until(Time::from_ms(7)) => {}
        }
        std::future::pending::<()>().await;
    };
    let stuck = simulation.run(main).unwrap_err();
    assert_eq!(stuck, SimulationError::Stuck { seed: 1, at: Time::from_ms(7), waiting: 2 });
    assert_eq!(*lock(&dropped), 1);
    simulation.run(async {}).unwrap();
}

#[test]
fn a_machine_that_halts_shows_nothing_more_and_another_host_can_run() {
    let simulation = Simulation::new(1, Time::from_ms(0));
    simulation.file("/d/f", "");
    simulation.server("server:1", vec![Connection::default()]);
    simulation.halt_at_write(2);
    let (env, note) = (simulation.env(), simulation.note());
    let first = env.clone();
    let main = async move {
        let mut file = first.disk.append(Path::new("/d/f")).unwrap();
        file.write_all(b"1").unwrap();
        first.console.write("before\n").unwrap();
        assert!(file.write_all(b"2").is_err());
        assert!(first.disk.list(Path::new("/d")).is_err() && first.console.write("after\n").is_err());
        assert!(first.network.connect("server:1").await.is_err());
        note("after");
    };
    let halted = SimulationError::Halted { seed: 1, at: Time::from_ms(0), writes: 1 };
    assert_eq!(simulation.run(main), Err(halted.clone()));
    assert_eq!(simulation.run(async {}), Err(halted), "nothing runs on a machine that has stopped");
    assert_eq!((simulation.printed().as_str(), simulation.log().as_slice()), ("before\n", &["0 ms before".into()][..]));
    simulation.kill();
    let second = simulation.run(async move {
        env.network.connect("server:1").await.unwrap();
        env.disk.append(Path::new("/d/f")).unwrap().write_all(b"3").unwrap();
        env.disk.read(Path::new("/d/f"), 10).unwrap()
    });
    assert_eq!((second.unwrap(), simulation.writes()), (b"13".to_vec(), 2));
}

/// The wall clock and the monotonic clock, in ms.
fn clocks(env: &Env) -> (u64, u128) {
    (env.clock.now().as_ms(), env.clock.monotonic().as_millis())
}

#[test]
fn a_clock_that_jumps_ahead_fires_the_timers_that_it_passes() {
    let simulation = Simulation::new(1, Time::from_ms(1000));
    simulation.clock_jump(Time::from_ms(1010), Time::from_ms(5000));
    let env = simulation.env();
    let seen = simulation.run(async move {
        let mut seen = Vec::new();
        for until in [1005, 2000, 5003] {
            env.clock.sleep_until(Time::from_ms(until)).await;
            seen.push(clocks(&env));
        }
        seen
    });
    assert_eq!(seen.unwrap(), [(1005, 5), (5000, 10), (5003, 13)]);
}

#[test]
fn a_clock_that_jumps_back_makes_timers_wait_and_servers_do_not_care() {
    let simulation = Simulation::new(1, Time::from_ms(1000));
    simulation.clock_jump(Time::from_ms(1010), Time::from_ms(500));
    simulation.file_at(Time::from_ms(1020), Time::default(), "/f", "");
    let sends = vec![(Duration::from_millis(20), b"a".to_vec())];
    simulation.server("server:1", vec![Connection { sends, stays_open: false }]);
    let env = simulation.env();
    let seen = simulation.run(async move {
        let mut stream = env.network.connect("server:1").await.unwrap();
        stream.read_to_string(&mut String::new()).await.unwrap();
        let sent = clocks(&env);
        env.disk.size(Path::new("/f")).unwrap();
        env.clock.sleep_until(Time::from_ms(1011)).await;
        (sent, clocks(&env))
    });
    assert_eq!(seen.unwrap(), ((510, 20), (1011, 521)));
}

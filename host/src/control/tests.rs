//! Both ends of a control socket in a simulated world, and clients that behave badly.

use super::*;
use crate::block::{RowStorage, SpillSettings};
use crate::data::schema::RecordType;
use crate::env::{Duplex, Env, Simulation};
use crate::error::{Error, ErrorKind};
use crate::ingest::StopRequest;
use crate::listener::{OperatorState, RunState, Status, StatusListener};
use crate::memory::MemoryBudget;
use crate::state::StateStore;
use crate::state_reader::{KeyState, LiveStates};
use crate::time::{Duration, Time};
use crate::upgrade::{Phase, SetKey, UpgradeControl, UpgradeOptions, UpgradeStatus};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const DIRECTORY: &str = "/job";
const JOB: &str = "word-count";

fn simulation() -> Simulation {
    let simulation = Simulation::new(7, Time::from_ms(1000));
    simulation.file("/job/job.toml", "");
    simulation
}

async fn start(env: &Env) -> (Control, Arc<StatusListener>) {
    let status = Arc::new(StatusListener::new(env.clock.clone(), JOB, Some(1)));
    let control = Control::start(env, (Path::new(DIRECTORY), JOB), status.clone(), states(env), Arc::new(Upgraded));
    (control.await, status)
}

/// A job whose upgrade is ready, and cannot be ended any more.
struct Upgraded;

impl UpgradeControl for Upgraded {
    fn start(&self, options: UpgradeOptions) -> Result<UpgradeStatus, Error> {
        Ok(UpgradeStatus { options, ..UpgradeStatus::default() })
    }

    fn status(&self) -> Result<UpgradeStatus, Error> {
        Ok(UpgradeStatus { phase: Phase::Ready, ..UpgradeStatus::default() })
    }

    fn commit(&self, force: bool) -> Result<UpgradeStatus, Error> {
        Ok(UpgradeStatus { phase: if force { Phase::HandedOver } else { Phase::Ready }, ..UpgradeStatus::default() })
    }

    fn abort(&self) -> Result<UpgradeStatus, Error> {
        Err(Error::new(ErrorKind::User, "too late").help("roll back"))
    }

    fn rollback(&self) -> Result<UpgradeStatus, Error> {
        Ok(UpgradeStatus { phase: Phase::RolledBack, ..UpgradeStatus::default() })
    }

    fn set(&self, key: &str, value: &str) -> Result<SetKey, Error> {
        Ok(SetKey { key: key.to_owned(), before: None, after: value.to_owned() })
    }
}

#[test]
fn requests_about_upgrades_are_passed_on() {
    let simulation = simulation();
    let env = simulation.env();
    let main = async move {
        let (control, _) = start(&env).await;
        let mut client = client(&env).await.unwrap();
        let options = Box::new(UpgradeOptions { batches: 7, max_slowdown: Some(1.5), ..UpgradeOptions::default() });
        let requests = [
            Request::Upgrade { options: options.clone() },
            Request::UpgradeStatus,
            Request::UpgradeCommit { force: true },
            Request::UpgradeAbort,
            Request::Rollback,
            Request::Set { key: "job.on_error".to_owned(), value: "stop".to_owned() },
        ];
        let mut answers = Vec::new();
        for request in requests {
            client.send(&request).await.unwrap();
            answers.push(client.next().await.unwrap().unwrap());
        }
        drop(control);
        (answers, *options)
    };
    let (answers, options) = simulation.run(main).unwrap();
    let status = |phase| Answer::Upgrade { status: Box::new(UpgradeStatus { phase, ..UpgradeStatus::default() }) };
    let begun = UpgradeStatus { options, ..UpgradeStatus::default() };
    let refused = Answer::Failed { error: "too late".to_owned(), help: "roll back".to_owned(), is_temporary: false };
    let expected = [
        Answer::Upgrade { status: Box::new(begun) },
        status(Phase::Ready),
        status(Phase::HandedOver),
        refused,
        status(Phase::RolledBack),
        Answer::Set { set: SetKey { key: "job.on_error".to_owned(), before: None, after: "stop".to_owned() } },
    ];
    assert_eq!(answers, expected);
}

/// The state of an operator before its first batch.
fn states(env: &Env) -> LiveStates {
    let settings = SpillSettings { directory: None, limit_bytes: 0, compressed: false };
    let storage = RowStorage::new(&MemoryBudget::new(1 << 20, 0).unwrap(), env.disk.clone(), settings);
    let pair = RecordType::tuple(&[&RecordType::text(), &RecordType::number()]).unwrap();
    let operator = OperatorState { node: 2, kind: "update_state_by_key".to_owned(), ..OperatorState::default() };
    LiveStates::of(vec![(operator, pair)], StateStore::new(storage))
}

async fn client(env: &Env) -> Result<Client, ClientError> {
    Client::connect(env, Path::new(DIRECTORY), JOB).await
}

async fn raw(env: &Env) -> Box<dyn Duplex> {
    let (directory, name) = socket_place(Path::new(DIRECTORY), JOB);
    env.local.connect(&directory, &name).await.unwrap()
}

/// Asks for the status.
async fn ask(env: &Env) -> Status {
    let mut client = client(env).await.unwrap();
    client.send(&Request::Status).await.unwrap();
    let Some(Answer::Status { status }) = client.next().await.unwrap() else { panic!("no status") };
    serde_json::from_value(status).unwrap()
}

#[test]
fn names_of_sockets_fit_and_differ() {
    let socket_name = |job: &str| socket_place(Path::new("jobs"), job).1;
    assert_eq!(
        socket_place(Path::new("jobs"), "word-count"),
        (PathBuf::from("jobs/.millstream"), "word-count.sock".to_owned())
    );
    let long = |end: &str| format!("{}{end}", "x".repeat(99));
    assert_ne!(socket_name(&long("a")), socket_name(&long("b")));
    for job in [long("a"), "y".repeat(64), "z".repeat(65)] {
        assert!(socket_name(&job).len() <= 70, "{job}");
    }
}

#[test]
fn a_client_hears_of_the_end_and_sees_when_the_host_is_gone() {
    let simulation = simulation();
    let env = simulation.env();
    let main = async move {
        assert!(matches!(client(&env).await, Err(ClientError::NotRunning)));
        let (mut control, _) = start(&env).await;
        assert_eq!(ask(&env).await.state, RunState::Starting);
        let mut first = client(&env).await.unwrap();
        first.send(&Request::Stop { now: false }).await.unwrap();
        assert_eq!(control.stop_requested().await, StopRequest::Graceful);
        assert_eq!(first.next().await.unwrap(), Some(Answer::Stopping));
        assert_eq!(ask(&env).await.state, RunState::Stopping);
        let mut second = client(&env).await.unwrap();
        second.send(&Request::Stop { now: true }).await.unwrap();
        assert_eq!(control.stop_requested().await, StopRequest::Now);
        assert_eq!(second.next().await.unwrap(), Some(Answer::Stopping));
        let farewell = control.finish(Some("why".to_owned())).await;
        let ended = Answer::Ended { error: Some("why".to_owned()) };
        assert_eq!(first.next().await.unwrap(), Some(ended.clone()));
        assert_eq!(second.next().await.unwrap(), Some(ended));
        // Nobody listens any more, but the connections stay until the host has ended.
        assert!(matches!(client(&env).await, Err(ClientError::NotRunning)));
        assert!(matches!(first.next().await, Err(ClientError::Silent)));
        drop(farewell);
        first.gone().await;
        second.gone().await;
    };
    simulation.run(main).unwrap();
}

#[test]
fn the_second_host_of_a_job_runs_without_control() {
    let simulation = simulation();
    let env = simulation.env();
    let main = async move {
        let (first, status) = start(&env).await;
        let (second, _) = start(&env).await;
        status.stopping();
        assert_eq!(ask(&env).await.state, RunState::Stopping, "it is the first that answers");
        drop(second.finish(None).await);
        assert_eq!(ask(&env).await.state, RunState::Stopping);
        drop(first.finish(None).await);
        let (_third, _) = start(&env).await;
        assert_eq!(ask(&env).await.state, RunState::Starting);
    };
    simulation.run(main).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written_is_no_obstacle() {
    let simulation = simulation();
    simulation.read_only(DIRECTORY);
    let env = simulation.env();
    let main = async move {
        let (control, _) = start(&env).await;
        assert!(matches!(client(&env).await, Err(ClientError::NotRunning)));
        drop(control.finish(None).await);
    };
    simulation.run(main).unwrap();
}

/// Clients that send nothing, never end a line, or take no answer are disconnected, and the next client is served.
#[test]
fn clients_that_hang_are_let_go() {
    let simulation = simulation();
    let env = simulation.env();
    let main = async move {
        let (control, _) = start(&env).await;
        let mut silent = Vec::new();
        for at in 0..24u8 {
            let mut stream = raw(&env).await;
            if at % 3 == 1 {
                stream.write_all(b"{\"version\"").await.unwrap();
            }
            silent.push(stream);
            // No more clients wait than may wait.
            env.clock.sleep_until(env.clock.now() + Duration::from_secs(5)).await;
        }
        // This client takes no answers.
        let mut deaf = raw(&env).await;
        let request = "{\"version\":1,\"request\":\"status\"}\n".repeat(1000);
        let _ = tokio::select! {
            biased;
            written = deaf.write_all(request.as_bytes()) => written,
            () = env.clock.sleep_until(env.clock.now() + Duration::from_secs(60)) => Ok(()),
        };
        env.clock.sleep_until(env.clock.now() + Duration::from_secs(120)).await;
        assert_eq!(ask(&env).await.job, JOB);
        drop(control.finish(None).await);
        for mut stream in silent {
            assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        }
    };
    simulation.run(main).unwrap();
}

#[test]
fn a_line_without_end_is_refused() {
    let simulation = simulation();
    let env = simulation.env();
    let main = async move {
        let (_control, _) = start(&env).await;
        let mut stream = raw(&env).await;
        let _ = stream.write_all(&[b'x'; 100_000]).await;
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "{\"answer\":\"refused\",\"error\":\"a line is too long\",\"version\":1}\n");
        assert_eq!(ask(&env).await.job, JOB);
    };
    simulation.run(main).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever a client sends, and whenever it disconnects: the host answers the next client, and only a request to
    /// stop stops the job.
    #[test]
    fn a_hostile_client_does_no_harm(said in prop::collection::vec(any::<u8>(), 0..6000), lines in 0usize..5, leaves: bool) {
        let simulation = simulation();
        let env = simulation.env();
        let main = async move {
            let (control, status) = start(&env).await;
            let mut stream = raw(&env).await;
            let mut bytes = said.clone();
            for _ in 0..lines {
                bytes.push(b'\n');
                bytes.extend_from_slice(&said);
            }
            // The host may refuse the client before the client has sent everything.
            let _ = stream.write_all(&bytes).await;
            let stream = if leaves { None } else { Some(stream) };
            let job = ask(&env).await.job;
            let state = status.status().state;
            drop((control.finish(None).await, stream));
            (job, state)
        };
        let (job, state) = simulation.run(main).unwrap();
        prop_assert_eq!(job, JOB);
        prop_assert_eq!(state, RunState::Starting);
    }

    /// Whatever a host sends, the result is an answer or an error.
    #[test]
    fn a_hostile_host_does_no_harm(said: Vec<u8>) {
        let simulation = simulation();
        let env = simulation.env();
        let main = async move {
            let (directory, name) = socket_place(Path::new(DIRECTORY), JOB);
            let listener = env.local.listen(&directory, &name).await.unwrap().unwrap();
            let mut client = client(&env).await.unwrap();
            let mut stream = listener.accept().await.unwrap();
            stream.write_all(&said).await.unwrap();
            drop(stream);
            while let Ok(Some(_)) = client.next().await {}
        };
        simulation.run(main).unwrap();
    }
}

/// State is looked at on another executor, and a question that cannot be answered leaves the connection open.
#[test]
fn a_client_asks_for_state() {
    let simulation = simulation();
    let env = simulation.env();
    let main = async move {
        let (control, _) = start(&env).await;
        let mut client = client(&env).await.unwrap();
        client.send(&Request::Operators).await.unwrap();
        let Some(Answer::Operators { operators }) = client.next().await.unwrap() else { panic!("no operators") };
        assert_eq!(operators.iter().map(OperatorState::label).collect::<Vec<_>>(), ["`update_state_by_key` (node 2)"]);
        let ask = |operator: &str| Request::KeyState { operator: Some(operator.to_owned()), key: "a".repeat(10_000) };
        client.send(&ask("nobody")).await.unwrap();
        let Some(Answer::Failed { error, .. }) = client.next().await.unwrap() else { panic!("it is no failure") };
        assert_eq!(error, "no operator with state is called `nobody`");
        client.send(&ask("update_state_by_key")).await.unwrap();
        let Some(Answer::KeyState { found }) = client.next().await.unwrap() else { panic!("no state") };
        assert!(!found.exists);
        client.send(&Request::Status).await.unwrap();
        let Some(Answer::Status { status }) = client.next().await.unwrap() else { panic!("no status") };
        assert_eq!(serde_json::from_value::<Status>(status).unwrap().operators, operators);
        drop(control.finish(None).await);
    };
    simulation.run(main).unwrap();
}

/// An answer that no client would take is a failure that says what to do.
#[test]
fn an_answer_that_is_too_long_fails() {
    let answer = |bytes: usize| {
        let found = KeyState { exists: true, state: "a".repeat(bytes).into(), ..KeyState::default() };
        let line = server::bounded(&Answer::KeyState { found: Box::new(found) });
        assert!(line.len() < ANSWER_BYTES_MAX);
        protocol::read::<Answer>(line.trim_end().as_bytes()).unwrap()
    };
    assert!(matches!(answer(1000), Answer::KeyState { .. }));
    let Answer::Failed { error, help, is_temporary } = answer(ANSWER_BYTES_MAX) else { panic!("it is no failure") };
    assert!(error.ends_with(" bytes, and an answer of a running job has at most 1048576"), "{error}");
    assert!(help.contains("name the checkpoint directory") && !is_temporary, "{help}");
}

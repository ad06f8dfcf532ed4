//! Requests of honest and hostile clients.

use super::*;
use crate::config::Secret;
use crate::env::Simulation;
use crate::time::Time;

const LOCAL: (&str, &str) = ("host", "127.0.0.1:4040");

fn head(method: Method, headers: &[(&str, &str)]) -> Head {
    crate::http::head_of(method, "/", headers)
}

fn token() -> Token {
    let simulation = Simulation::new(0, Time::default());
    simulation.file("/token", "s3cret");
    Token::read(&simulation.env(), "the page", &Secret::File("/token".into())).unwrap()
}

fn get(kind: Kind, headers: &[(&str, &str)], token: Option<&Token>) -> Option<Refusal> {
    refusal(&head(Method::GET, headers), kind, token, "http")
}

#[test]
fn without_a_token_programs_of_this_machine_may_look() {
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1:4040", "127.9.9.9", "[::1]:4040", "[::1]"] {
        assert_eq!(get(Kind::Data, &[("host", host)], None), None, "{host}");
    }
    for host in ["evil.example:4040", "localhost.evil.example", "10.0.0.1", "", "[::2]:1", "127.0.0.1.evil.example:80"]
    {
        assert_eq!(get(Kind::Data, &[("host", host)], None), Some(Refusal::ForeignHost), "{host}");
        assert_eq!(get(Kind::Public, &[("host", host)], None), Some(Refusal::ForeignHost), "{host}");
    }
    assert_eq!(get(Kind::Data, &[], None), Some(Refusal::ForeignHost));
}

#[test]
fn pages_of_other_sites_are_refused() {
    for site in ["cross-site", "same-site", "strange"] {
        assert_eq!(get(Kind::Data, &[LOCAL, ("sec-fetch-site", site)], None), Some(Refusal::CrossSite));
        let followed = [LOCAL, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate")];
        assert_eq!(get(Kind::Public, &followed, None), None, "a link from elsewhere may be followed");
        assert_eq!(get(Kind::Data, &followed, None), Some(Refusal::CrossSite));
    }
    assert_eq!(get(Kind::Data, &[LOCAL, ("sec-fetch-site", "same-origin")], None), None);
    for origin in ["http://evil.example", "null", "https://127.0.0.1:4040", "http://127.0.0.1:4041"] {
        assert_eq!(get(Kind::Data, &[LOCAL, ("origin", origin)], None), Some(Refusal::CrossSite), "{origin}");
    }
    assert_eq!(get(Kind::Data, &[LOCAL, ("origin", "http://127.0.0.1:4040")], None), None);
}

#[test]
fn with_a_token_only_clients_that_know_the_token_see_the_job() {
    let token = token();
    let any = ("host", "jobs.example");
    assert_eq!(get(Kind::Public, &[any], Some(&token)), None);
    assert_eq!(get(Kind::Data, &[any], Some(&token)), Some(Refusal::Unauthorized));
    assert_eq!(get(Kind::Data, &[any, ("authorization", "Bearer wrong")], Some(&token)), Some(Refusal::Unauthorized));
    assert_eq!(get(Kind::Data, &[any, ("authorization", "Bearer s3cret")], Some(&token)), None);
}

#[test]
fn only_who_knows_a_token_may_stop_the_job() {
    let token = token();
    let post = |headers: &[(&str, &str)], token| refusal(&head(Method::POST, headers), Kind::Action, token, "http");
    assert_eq!(post(&[LOCAL], None), Some(Refusal::NoToken));
    assert_eq!(post(&[LOCAL], Some(&token)), Some(Refusal::Unauthorized));
    let known = ("authorization", "Bearer s3cret");
    assert_eq!(post(&[LOCAL, known], Some(&token)), None);
    assert_eq!(post(&[LOCAL, known, ("origin", "http://evil.example")], Some(&token)), Some(Refusal::CrossSite));
    assert_eq!(get(Kind::Action, &[LOCAL, known], Some(&token)), Some(Refusal::Method));
    for method in [Method::PUT, Method::DELETE, Method::OPTIONS, Method::POST] {
        assert_eq!(refusal(&head(method, &[LOCAL]), Kind::Data, None, "http"), Some(Refusal::Method));
    }
}

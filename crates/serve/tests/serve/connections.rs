//! Connections and bodies: slow ones, large ones, and those that are open when the service stops.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::http::Listening;

#[test]
fn a_slow_client_is_cut_off() {
    let service = Listening::start(|config| {
        config.limits.head_timeout = Duration::from_millis(200);
        config.limits.body_timeout = Duration::from_millis(200);
    });
    let send = |part: &str| {
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(part.as_bytes()).unwrap();
        let mut answer = String::new();
        // The service ends the connection; it is not this end that has waited long enough.
        if let Err(error) = stream.read_to_string(&mut answer) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{part:?}");
        }
        answer
    };
    for beginning in
        ["", "P", "PRI * HTTP/2.0\r\n\r\nSM", "POST /v1/lookup HTTP/1.1\r\nhost: x\r\n"]
    {
        send(beginning);
    }
    let answer = send("POST /v1/lookup HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{\"ids\"");
    assert!(answer.contains("took too long to arrive"), "{answer}");
}

#[test]
fn slow_senders_keep_no_place_from_others() {
    let service = Listening::start(|config| config.limits.requests = 1);
    let mut slow = TcpStream::connect(service.address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head =
        "POST /v1/lookup HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 12\r\n\r\n";
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(b"{\"ids\":").unwrap();
    while service.get("/metrics").1.lines().all(|line| line != "das_connections 2") {
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..20 {
        assert_eq!(service.post("/v1/lookup", &json!({"ids": [10]})).0, 200);
    }
    slow.write_all(b"[10]}").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn bodies_take_no_more_memory_than_they_may() {
    let service = Listening::start(|config| config.limits.bodies_bytes = 40);
    let ids = |number: usize| json!({"ids": vec![10; number]});
    for _ in 0..20 {
        assert_eq!(service.post("/v1/lookup", &ids(9)).0, 200);
        let (status, refusal) = service.post("/v1/lookup", &ids(12));
        assert_eq!((status, &refusal["error"]["code"]), (429, &json!("overloaded")));
    }
}

#[test]
fn what_was_admitted_is_finished_when_the_service_stops() {
    let mut service = Listening::start(|_| ());
    let mut streams: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(service.address).unwrap();
            let head = "POST /v1/lookup HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream
        })
        .collect();
    while service.get("/metrics").1.lines().all(|line| line != "das_connections 9") {
        std::thread::sleep(Duration::from_millis(5));
    }
    service.stop();
    std::thread::sleep(Duration::from_millis(50));
    for stream in &mut streams {
        stream.write_all(b"{\"ids\":[10]}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("[0,0,0]"), "{answer}");
    }
}

#[test]
fn a_service_that_leaves_says_so_and_answers_meanwhile() {
    let mut service = Listening::start(|config| config.limits.leave = Duration::from_secs(4));
    assert_eq!(service.get("/readyz").0, 200);
    service.stop();
    while service.get("/readyz").0 == 200 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(service.get("/readyz"), (503, "stopping\n".into()));
    assert_eq!(service.post("/v1/lookup", &json!({"ids": [10]})).0, 200);
}

//! Two artifacts side by side.

use das_serve::config::Limits;
use das_serve::ids::Id;
use das_serve::registry::{Arm, Experiment};
use das_serve::service::*;
use das_serve::vectors::Vectors;

use crate::common::{Fixture, Running, content};

fn other() -> Fixture {
    Fixture { order: [3, 2, 1, 0], codes: vec![[1, 1]; 4], ..Fixture::default() }
}

fn lookup_for(running: &Running, user: &str) -> LookupAnswer {
    let request = LookupRequest {
        ids: vec![Id::Int(10), Id::Int(1)],
        user: Some(user.to_string()),
        ..Default::default()
    };
    running.call::<Lookup>(request).unwrap()
}

#[test]
fn a_user_always_gets_the_same_arm_and_answers_say_which() {
    let split = Experiment::Split { share: 0.5 };
    let running = Running::with(&Fixture::default(), Some((&other(), split)), Limits::default());
    let upsert = UpsertRequest {
        ids: vec![Id::Int(1)],
        vectors: Some(Vectors::new(2, content(0, 0)).unwrap()),
        ..Default::default()
    };
    running.call::<Upsert>(upsert).unwrap();
    let served = running.service.registry().served();
    let (second, _) = served.second.as_ref().unwrap();
    let mut seconds = 0;
    for user in 0..200 {
        let answer = lookup_for(&running, &user.to_string());
        let codes: Vec<Vec<u32>> =
            answer.results.iter().map(|row| row.codes.clone().unwrap()).collect();
        match answer.answered.arm {
            Arm::Live => {
                assert_eq!(answer.answered.version, served.live.version());
                assert_eq!(codes, [[0, 0, 0], [0, 0, 2]]);
            }
            Arm::Second => {
                seconds += 1;
                assert_eq!(answer.answered.version, second.version());
                assert_eq!(codes, [[1, 1, 0], [3, 0, 0]]);
            }
        }
        assert_eq!(lookup_for(&running, &user.to_string()), answer);
    }
    assert!((60..140).contains(&seconds), "{seconds}");
    let experiment =
        |share| running.runtime.block_on(running.admin.experiment(Experiment::Split { share }));
    experiment(0.0).unwrap();
    assert!((0..50).all(|user| lookup_for(&running, &user.to_string()).answered.arm == Arm::Live));
    experiment(1.0).unwrap();
    assert!(
        (0..50).all(|user| lookup_for(&running, &user.to_string()).answered.arm == Arm::Second)
    );
    assert!(experiment(1.5).is_err());
}

#[test]
fn a_version_can_be_asked_for_whoever_the_user_is() {
    let split = Experiment::Split { share: 0.0 };
    let running = Running::with(&Fixture::default(), Some((&other(), split)), Limits::default());
    let served = running.service.registry().served();
    let (second, _) = served.second.as_ref().unwrap();
    let lookup = |version: &str| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let trace = das_serve::trace::Remote::default();
        let (user, version) = (Some("7"), Some(version));
        let call = Call { user, deadline, transport: "http", version, trace };
        let request = LookupRequest { ids: vec![10.into()], ..Default::default() };
        running.runtime.block_on(running.service.call::<Lookup>(call, request))
    };
    for (version, arm) in [(served.live.version(), Arm::Live), (second.version(), Arm::Second)] {
        let answer = lookup(version).unwrap();
        assert_eq!((answer.answered.version.as_str(), answer.answered.arm), (version, arm));
    }
    assert_eq!(lookup("none").unwrap_err().kind, das_serve::error::Kind::NotFound);
    // What a shadow says is for nobody.
    running.runtime.block_on(running.admin.experiment(Experiment::Shadow)).unwrap();
    assert!(lookup(second.version()).is_err());
}

#[test]
fn a_shadow_answers_nobody_and_is_compared() {
    let second = Some((&other(), Experiment::Shadow));
    let running = Running::with(&Fixture::default(), second, Limits::default());
    let answer = lookup_for(&running, "7");
    assert_eq!(answer.answered.arm, Arm::Live);
    let compared = |result: &str| {
        running.metric(&format!("das_shadow_total{{method=\"lookup\",result=\"{result}\"}}"))
    };
    let started = std::time::Instant::now();
    while compared("different") == 0.0 && started.elapsed().as_secs() < 20 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!((compared("different"), compared("same")), (1.0, 0.0));
}

#[test]
fn without_a_second_artifact_there_is_no_experiment() {
    let running = Running::of(&Fixture::default());
    let refused = running.runtime.block_on(running.admin.experiment(Experiment::Shadow));
    assert!(refused.unwrap_err().message.contains("no second artifact"));
    assert!(running.runtime.block_on(running.admin.reload(Arm::Second)).is_err());
}

//! The service over gRPC, asked by tonic's client.

use das_serve::auth::Access;
use das_serve::grpc::stubs::das_v1::das_client::DasClient;
use das_serve::grpc::stubs::das_v1::*;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use crate::http::Listening;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn client(service: &Listening) -> DasClient<Channel> {
    let endpoint = Endpoint::from_shared(service.url("")).unwrap();
    DasClient::new(endpoint.connect().await.unwrap())
}

fn number(number: i64) -> Id {
    Id { id: Some(id::Id::Number(number)) }
}

fn vectors(values: &[f32]) -> Vectors {
    Vectors { dim: 2, values: values.to_vec() }
}

#[test]
fn every_method_answers() {
    let service = Listening::start(|_| ());
    runtime().block_on(async {
        let mut client = client(&service).await;
        let text = Id { id: Some(id::Id::Text("12".into())) };
        let ids = vec![number(10), text, number(99)];
        let found = client.lookup(LookupRequest { side: 0, ids }).await.unwrap().into_inner();
        let codes: Vec<&[u32]> = found.results.iter().map(|row| row.codes.as_slice()).collect();
        assert_eq!(codes, [&[0, 0, 0][..], &[0, 0, 1], &[]]);
        assert_eq!(found.answered.unwrap().arm(), Arm::Live);
        let content = Some(encode_request::Content::Vectors(vectors(&[11.0, 9.0, -9.0, 11.0])));
        let found = client.encode(EncodeRequest { side: 1, content }).await.unwrap().into_inner();
        assert_eq!(found.codes, [Codes { codes: vec![0, 1] }, Codes { codes: vec![2, 0] }]);
        let content = Some(upsert_request::Content::Vectors(vectors(&[11.0, 11.0])));
        let request = UpsertRequest { side: 0, ids: vec![number(1)], content };
        let found = client.upsert(request).await.unwrap().into_inner();
        assert_eq!(
            (&found.results[0].codes[..], found.results[0].status()),
            (&[0, 0, 2][..], Status::New)
        );
        let mut page = String::new();
        let mut ids = Vec::new();
        loop {
            let request = ItemsRequest { side: 0, prefix: vec![0, 0], limit: 1, page };
            let found = client.items(request).await.unwrap().into_inner();
            assert_eq!(found.total, 3);
            ids.extend(found.items.into_iter().map(|item| item.id.unwrap()));
            page = found.next;
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(ids, [number(10), number(12), number(1)]);
        let of = Some(neighbours_request::Of::Id(number(10)));
        let request = NeighboursRequest { side: 0, of, limit: 1 };
        let found = client.neighbours(request).await.unwrap().into_inner();
        assert_eq!((found.codes, found.neighbours[0].shared), (vec![0, 0, 0], 2));
        let histories = vec![History { items: vec![number(10)] }];
        let request = RetrieveRequest { histories, k: 1, exclude_seen: false };
        assert_eq!(client.retrieve(request).await.unwrap_err().code(), Code::FailedPrecondition);
        let info = client.artifact(ArtifactRequest {}).await.unwrap().into_inner();
        let info: serde_json::Value = serde_json::from_str(&info.json).unwrap();
        assert_eq!(info["live"]["sides"][1]["later"], 1, "{info}");
    });
}

#[test]
fn bad_requests_have_their_codes() {
    let service = Listening::start(|config| config.limits.body_bytes = 4096);
    runtime().block_on(async {
        let mut client = client(&service).await;
        let lookup = |ids: Vec<Id>, side: i32| LookupRequest { side, ids };
        let code =
            |result: Result<_, tonic::Status>| result.map(|_: tonic::Response<_>| ()).unwrap_err();
        let refused = code(client.lookup(lookup(vec![], 0)).await);
        assert_eq!(refused.code(), Code::InvalidArgument);
        let refused = code(client.lookup(lookup(vec![Id { id: None }], 0)).await);
        assert!(refused.message().contains("`ids` row 0"), "{refused}");
        let refused = code(client.lookup(lookup(vec![number(1)], 7)).await);
        assert!(refused.message().contains("`side`"), "{refused}");
        let refused = code(client.lookup(lookup(vec![number(1 << 40); 2000], 0)).await);
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains("body: expected at most"), "{refused}");
        let mut request = Request::new(lookup(vec![number(1)], 0));
        request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
        assert_eq!(code(client.lookup(request).await).code(), Code::InvalidArgument);
        for (dim, values) in
            [(0, vec![1.0]), (3, vec![1.0; 4]), (3, vec![1.0; 3]), (2, vec![1.0, f32::NAN])]
        {
            let content = Some(encode_request::Content::Vectors(Vectors { dim, values }));
            let refused = client.encode(EncodeRequest { side: 0, content }).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        }
    });
}

#[test]
fn keys_are_asked_for() {
    let service = Listening::start(|config| {
        config.keys.add_list("read-key-of-some-length", Access::Read).unwrap();
        config.keys.add_list("admin-key-of-some-length", Access::Admin).unwrap();
        config.limits.body_bytes = 4096;
    });
    runtime().block_on(async {
        let mut client = client(&service).await;
        let lookup = || LookupRequest { side: 0, ids: vec![number(10)] };
        assert_eq!(client.lookup(lookup()).await.unwrap_err().code(), Code::Unauthenticated);
        // Before the message is read: what it holds makes no difference.
        let large = LookupRequest { side: 0, ids: vec![number(1 << 40); 2000] };
        assert_eq!(client.lookup(large).await.unwrap_err().code(), Code::Unauthenticated);
        let info = client.artifact(ArtifactRequest {}).await.unwrap_err();
        assert_eq!(info.code(), Code::Unauthenticated);
        let with_key = |message| {
            let mut request = Request::new(message);
            let key = "Bearer read-key-of-some-length".parse().unwrap();
            request.metadata_mut().insert("authorization", key);
            request
        };
        assert!(client.lookup(with_key(lookup())).await.is_ok());
        let content = Some(upsert_request::Content::Vectors(vectors(&[1.0, 1.0])));
        let upsert = UpsertRequest { side: 0, ids: vec![number(1)], content };
        let mut foreign = Request::new(upsert.clone());
        let key = "Bearer admin-key-of-some-length".parse().unwrap();
        foreign.metadata_mut().insert("authorization", key);
        foreign.metadata_mut().insert("origin", "https://elsewhere.example".parse().unwrap());
        assert_eq!(client.upsert(foreign).await.unwrap_err().code(), Code::PermissionDenied);
        let mut request = Request::new(upsert);
        let key = "Bearer read-key-of-some-length".parse().unwrap();
        request.metadata_mut().insert("authorization", key);
        assert_eq!(client.upsert(request).await.unwrap_err().code(), Code::PermissionDenied);
    });
}

#[test]
fn the_inference_protocol_answers() {
    use das_serve::grpc::stubs::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
    use das_serve::grpc::stubs::inference::model_infer_request::InferInputTensor;
    use das_serve::grpc::stubs::inference::*;
    let service = Listening::start(|_| ());
    runtime().block_on(async {
        let channel = Endpoint::from_shared(service.url("")).unwrap().connect().await.unwrap();
        let mut client = GrpcInferenceServiceClient::new(channel);
        assert!(client.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
        assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
        let name = || "user".to_string();
        let model = ModelMetadataRequest { name: name(), version: String::new() };
        let model = client.model_metadata(model).await.unwrap().into_inner();
        assert_eq!(
            (&model.inputs[0].shape[..], &model.outputs[0].shape[..]),
            (&[-1, 2][..], &[-1, 2][..])
        );
        let ready = ModelReadyRequest { name: name(), version: model.versions[0].clone() };
        assert!(client.model_ready(ready).await.unwrap().into_inner().ready);
        let other = ModelReadyRequest { name: name(), version: "other".into() };
        assert_eq!(client.model_ready(other).await.unwrap_err().code(), Code::NotFound);
        let values = [11.0f32, 9.0, -9.0, 11.0];
        let request = |typed: bool, shape: Vec<i64>| {
            let contents = typed.then(|| InferTensorContents {
                fp32_contents: values.to_vec(),
                ..Default::default()
            });
            let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let input = InferInputTensor {
                name: "content".into(),
                datatype: "FP32".into(),
                shape,
                contents,
                ..Default::default()
            };
            ModelInferRequest {
                model_name: name(),
                id: "q".into(),
                inputs: vec![input],
                raw_input_contents: if typed { vec![] } else { vec![raw] },
                ..Default::default()
            }
        };
        for typed in [true, false] {
            let answer = client.model_infer(request(typed, vec![2, 2])).await.unwrap().into_inner();
            let codes = &answer.outputs[0];
            assert_eq!((answer.id.as_str(), &codes.shape[..]), ("q", &[2, 2][..]));
            let values = codes.contents.as_ref().unwrap();
            assert_eq!(values.uint_contents, [0, 1, 2, 0]);
        }
        for shape in [vec![3, 2], vec![-2, -2], vec![4], vec![1, 4]] {
            let refused = client.model_infer(request(true, shape)).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        }
    });
}

/// `src/grpc/stubs` is what `proto` says. With `DAS_UPDATE` in the environment it is written anew.
#[test]
fn the_stubs_are_those_of_the_proto_files() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = protox::compile(["das.proto", "inference.proto"], [here.join("proto")]).unwrap();
    let out = tempfile::tempdir().unwrap();
    let builder = tonic_prost_build::configure().build_transport(false).out_dir(out.path());
    builder.compile_fds(files).unwrap();
    for (package, module) in [("das.v1", "das_v1"), ("inference", "inference")] {
        let made = std::fs::read_to_string(out.path().join(format!("{package}.rs"))).unwrap();
        let kept = here.join(format!("src/grpc/stubs/{module}.rs"));
        if std::env::var_os("DAS_UPDATE").is_some() {
            std::fs::write(&kept, &made).unwrap();
        }
        assert!(made == std::fs::read_to_string(kept).unwrap(), "run this test with DAS_UPDATE=1");
    }
}

//! A tokenizer whose codes can be worked out by hand, and services over it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use das_core::artifact::{
    ArtifactWriter, CONFIG_FILE, Existing, MODEL_FILE, SideContent, recommender_file,
};
use das_core::progress::{Cancel, Silent};
use das_core::sid::collision::{SinkhornConfig, resolve};
use das_core::sid::{CollisionPolicy, LastLevel, SidLayout, SidTable};
use das_core::{EntityIds, Side};
use das_nn::Device;
use das_nn::safetensors_io::{self, NamedTensor, TensorData};
use das_recommend::{Retriever, RetrieverConfig, Sequences};
use das_serve::admin::Admin;
use das_serve::artifact::{Source, load};
use das_serve::batch::Batcher;
use das_serve::config::Limits;
use das_serve::error::Refusal;
use das_serve::metrics::{Levels, Metrics};
use das_serve::online::{Committer, Store};
use das_serve::registry::{Experiment, Registry};
use das_serve::service::{Call, Method, Service};
use das_serve::trace::Remote;
use serde_json::{Map, json};

/// The codes of the first level, far from each other.
const FIRST: [[f32; 2]; 4] = [[10.0, 10.0], [10.0, -10.0], [-10.0, 10.0], [-10.0, -10.0]];
/// The codes of the second level.
const SECOND: [[f32; 2]; 4] = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];

/// Content that has the codes `a`, `b`.
pub(crate) fn content(a: usize, b: usize) -> Vec<f32> {
    vec![FIRST[a][0] + SECOND[b][0], FIRST[a][1] + SECOND[b][1]]
}

/// An artifact to publish: items, and users with the same codes, whose content is two numbers.
pub(crate) struct Fixture {
    pub(crate) policy: CollisionPolicy,
    pub(crate) ids: EntityIds,
    pub(crate) codes: Vec<[usize; 2]>,
    /// Codes of the first level in this order: another order is another ID space.
    pub(crate) order: [usize; 4],
    /// A retriever over these items.
    pub(crate) retriever: Option<RetrieverConfig>,
}

impl Default for Fixture {
    fn default() -> Fixture {
        Fixture {
            policy: CollisionPolicy::Suffix,
            ids: EntityIds::Int(vec![10, 11, 12, 13]),
            codes: vec![[0, 0], [0, 1], [0, 0], [3, 2]],
            order: [0, 1, 2, 3],
            retriever: None,
        }
    }
}

impl Fixture {
    /// Publishes it at `path`, in the place of what is there.
    pub(crate) fn publish(&self, path: &Path) {
        let mut writer = ArtifactWriter::create(path, Existing::Replace).unwrap();
        writer.add_bytes(MODEL_FILE, &self.model()).unwrap();
        writer.add_bytes(CONFIG_FILE, b"seed = 0\n").unwrap();
        for side in Side::BOTH {
            let content = SideContent { dim: 2, embedder: None, views: vec![] };
            writer.add_side(side, &self.ids, &self.table(), content).unwrap();
        }
        if self.retriever.is_some() {
            let bytes = self.train().to_bytes().unwrap();
            writer.add_bytes(&recommender_file("retriever"), &bytes).unwrap();
        }
        writer.publish("das", Map::new(), json!({})).unwrap();
    }

    /// The retriever, trained a little on two users; the same each time.
    pub(crate) fn train(&self) -> Retriever {
        let config = self.retriever.as_ref().unwrap();
        let items = (0..self.codes.len() as u32).chain((0..self.codes.len() as u32).rev());
        let sequences = vec![0, self.codes.len(), 2 * self.codes.len()];
        let sequences = Sequences::new(sequences, items.collect()).unwrap();
        let (device, cancel, table) = (Device::cpu(), Cancel::default(), self.table());
        let trained =
            Retriever::train(&device, &table, &sequences, &[], config, 0, None, &Silent, &cancel);
        trained.unwrap().0
    }

    fn table(&self) -> SidTable {
        let layout = SidLayout::learned(vec![4, 4]).unwrap();
        let codes = self.codes.iter().flatten().map(|&code| code as u32).collect();
        let learned = SidTable::new(layout, codes).unwrap();
        let residuals: Vec<f32> = self.codes.iter().flat_map(|&[_, b]| SECOND[b]).collect();
        let last = LastLevel::new(&residuals, SECOND.as_flattened(), 2).unwrap();
        resolve(&learned, self.policy, Some(last), &SinkhornConfig::default()).unwrap().table
    }

    fn model(&self) -> Vec<u8> {
        let identity = vec![1.0, 0.0, 0.0, 1.0];
        let first: Vec<f32> = self.order.iter().flat_map(|&code| FIRST[code]).collect();
        let tensor = |name: String, shape: &[usize], values: Vec<f32>| NamedTensor {
            name,
            shape: shape.to_vec(),
            data: TensorData::F32(values),
        };
        let side = |side: Side| {
            [
                tensor(format!("{side}.encoder.0.weight"), &[2, 2], identity.clone()),
                tensor(format!("{side}.encoder.0.bias"), &[2], vec![0.0; 2]),
                tensor(format!("{side}.decoder.0.weight"), &[2, 2], identity.clone()),
                tensor(format!("{side}.decoder.0.bias"), &[2], vec![0.0; 2]),
                tensor(format!("{side}.codebook.0"), &[4, 2], first.clone()),
                tensor(format!("{side}.codebook.1"), &[4, 2], SECOND.as_flattened().to_vec()),
            ]
        };
        let tensors: Vec<NamedTensor> = Side::BOTH.into_iter().flat_map(side).collect();
        let metadata = [("method".to_string(), "das".to_string())].into();
        safetensors_io::to_bytes(&tensors, &metadata).unwrap()
    }
}

/// A service, its folder, and what changes it.
pub(crate) struct Running {
    pub(crate) folder: Arc<tempfile::TempDir>,
    pub(crate) service: Arc<Service>,
    pub(crate) admin: Admin,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Running {
    pub(crate) fn of(fixture: &Fixture) -> Running {
        Running::with(fixture, None, Limits::default())
    }

    pub(crate) fn with(
        fixture: &Fixture,
        second: Option<(&Fixture, Experiment)>,
        limits: Limits,
    ) -> Running {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        fixture.publish(&folder.path().join("live"));
        if let Some((fixture, _)) = second {
            fixture.publish(&folder.path().join("second"));
        }
        Running::start(folder, second.map(|(_, experiment)| experiment), limits)
    }

    /// Starts over what is in a folder already.
    pub(crate) fn start(
        folder: Arc<tempfile::TempDir>,
        experiment: Option<Experiment>,
        limits: Limits,
    ) -> Running {
        let source = |name: &str| Source { folder: folder.path().join(name), model: None };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let live = Arc::new(load(&source("live")).unwrap());
        let second =
            experiment.map(|experiment| (Arc::new(load(&source("second")).unwrap()), experiment));
        let store = Arc::new(Store::open(&folder.path().join("online.redb")).unwrap());
        let committer = Committer::start(store, limits.queue_rows).unwrap();
        let second_one = second.as_ref().map(|(second, _): &(Arc<_>, _)| second);
        let all = std::iter::once(&live).chain(second_one).cloned().collect();
        runtime.block_on(committer.activate(all)).unwrap();
        let metrics = Metrics::default();
        let second_source = second.is_some().then(|| source("second"));
        let batcher = Batcher::start(1, 64, limits.queue_rows).unwrap();
        let registry = Registry::new(live, second);
        let service = Arc::new(Service::new(registry, batcher, committer, limits, metrics.clone()));
        let admin = Admin::new(service.clone(), metrics, source("live"), second_source);
        Running { folder, service, admin, runtime }
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.folder.path().join("live")
    }

    pub(crate) fn call<M: Method>(&self, request: M::Request) -> Result<M::Answer, Refusal> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let trace = Remote::default();
        let call = Call { user: None, deadline, transport: "http", version: None, trace };
        self.runtime.block_on(self.service.call::<M>(call, request))
    }

    /// The value of a line of the metrics.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let levels = Levels { computing: 0, upserting: 0, connections: 0, upserts_healthy: true };
        let text = self.service.metrics().text(levels);
        let found = text.lines().find_map(|found| found.strip_prefix(line));
        found.map_or(0.0, |value| value.trim().parse().unwrap())
    }
}

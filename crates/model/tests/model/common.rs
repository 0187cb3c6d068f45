//! A small click log with planted groups, without files.

use das_core::checkpoints::CheckpointStore;
use das_core::clicks::NO_PARTNER;
use das_core::progress::Cancel;
use das_core::streams::stream;
use das_core::{ClickEpoch, Clicks, DenseMatrix, HeldOut};
use das_model::train::{EpochRecord, GradientRecord, Observer, StepRecord};
use das_model::{
    Inputs, Method, MethodConfigs, ModelConfig, Result, Run, Settings, TrainConfig, Trained,
    train_method,
};
use das_nn::Device;
use rand::Rng;
use rand::seq::SliceRandom;

/// Users and items of `GROUPS` groups; users click mostly inside their own.
pub(crate) struct Market {
    pub(crate) users: usize,
    pub(crate) items: usize,
    clicks: Vec<(u32, u32)>,
    items_of: Vec<Vec<u32>>,
    user_clicks: Vec<u32>,
    item_clicks: Vec<u32>,
    pub(crate) content: [DenseMatrix; 2],
    pub(crate) held_out: HeldOut,
}

pub(crate) const GROUPS: usize = 6;
/// Widths of user and item content: never equal.
pub(crate) const DIMS: [usize; 2] = [20, 28];

impl Market {
    pub(crate) fn new(seed: u64, users: usize, items: usize, clicks_each: usize) -> Market {
        let mut rng = stream(seed, "test market", 0);
        let mut clicks = Vec::new();
        let mut held_out = HeldOut::default();
        for user in 0..users {
            let mut seen = Vec::new();
            for _ in 0..clicks_each + 1 {
                let group = if rng.random_bool(0.9) { user } else { rng.random_range(0..GROUPS) };
                let item = rng.random_range(0..items / GROUPS) * GROUPS + group % GROUPS;
                seen.push(item as u32);
            }
            held_out.users.push(user as u32);
            held_out.items.push(seen.pop().unwrap());
            held_out.histories.push(seen[seen.len().saturating_sub(5)..].to_vec());
            clicks.extend(seen.into_iter().map(|item| (user as u32, item)));
        }
        let mut items_of = vec![Vec::new(); users];
        let (mut user_clicks, mut item_clicks) = (vec![0; users], vec![0; items]);
        for &(user, item) in &clicks {
            items_of[user as usize].push(item);
            user_clicks[user as usize] += 1;
            item_clicks[item as usize] += 1;
        }
        for items in &mut items_of {
            items.sort_unstable();
            items.dedup();
        }
        let centres: Vec<f32> = (0..GROUPS * 64).map(|_| rng.random_range(-1.0..1.0)).collect();
        let content = [(users, DIMS[0]), (items, DIMS[1])].map(|(rows, dim)| {
            let values = (0..rows * dim).map(|at| {
                let (row, column) = (at / dim, at % dim);
                centres[row % GROUPS * 64 + column] + rng.random_range(-0.5..0.5)
            });
            DenseMatrix::new(dim, values.collect()).unwrap()
        });
        Market { users, items, clicks, items_of, user_clicks, item_clicks, content, held_out }
    }
}

impl Market {
    pub(crate) fn inputs(&self) -> Inputs<'_> {
        let [users, items] = &self.content;
        Inputs {
            clicks: self,
            content: [users, items],
            validation: Some(&self.held_out),
            collaborative: [None, None],
        }
    }
}

/// Keeps all records; asks for a stop after a number of steps if told to.
#[derive(Default)]
pub(crate) struct Recorder<'a> {
    stop: Option<(usize, &'a Cancel)>,
    pub(crate) steps: Vec<StepRecord>,
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) gradients: Vec<GradientRecord>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn stopping_after(steps: usize, cancel: &'a Cancel) -> Recorder<'a> {
        Recorder { stop: Some((steps, cancel)), ..Recorder::default() }
    }

    /// The names of the terms of a step.
    pub(crate) fn terms(&self, step: usize) -> Vec<&'static str> {
        self.steps[step].terms.iter().map(|&(name, _)| name).collect()
    }
}

impl Observer for Recorder<'_> {
    fn start(&mut self, step: u64, _total: u64) -> std::io::Result<()> {
        self.steps.retain(|record| record.step < step);
        self.epochs.retain(|record| record.step <= step);
        Ok(())
    }

    fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
        self.steps.push(record.clone());
        if let Some((_, cancel)) = self.stop.filter(|&(steps, _)| steps == self.steps.len()) {
            cancel.request();
        }
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord) -> std::io::Result<()> {
        self.epochs.push(record.clone());
        Ok(())
    }

    fn gradients(&mut self, record: &GradientRecord) -> std::io::Result<()> {
        self.gradients.push(record.clone());
        Ok(())
    }

    fn warn(&mut self, _message: &str) {}
}

/// Trains DAS on the CPU.
pub(crate) fn das(
    inputs: Inputs<'_>,
    model: &ModelConfig,
    train: &TrainConfig,
    seed: u64,
    store: Option<CheckpointStore>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Trained> {
    let run = Run { device: &Device::cpu(), inputs, seed, store };
    let settings = Settings { model, train, methods: &MethodConfigs::default() };
    train_method(Method::Das, settings, &run, observer, cancel)
}

impl Clicks for Market {
    fn num_users(&self) -> usize {
        self.users
    }

    fn num_items(&self) -> usize {
        self.items
    }

    fn num_clicks(&self) -> usize {
        self.clicks.len()
    }

    fn items_of(&self, user: u32) -> &[u32] {
        &self.items_of[user as usize]
    }

    fn user_clicks(&self) -> &[u32] {
        &self.user_clicks
    }

    fn item_clicks(&self) -> &[u32] {
        &self.item_clicks
    }

    fn item_exposures(&self) -> &[u32] {
        &self.item_clicks
    }

    fn user_exposures(&self) -> &[u32] {
        &self.user_clicks
    }

    fn epoch(&self, seed: u64, epoch: u64) -> ClickEpoch {
        let mut rng = stream(seed, "test epoch", epoch);
        let mut clicks = self.clicks.clone();
        clicks.shuffle(&mut rng);
        let mut columns = ClickEpoch::default();
        for (user, item) in clicks {
            let mut draw = |others: Vec<u32>| match others.len() {
                0 => NO_PARTNER,
                count => others[rng.random_range(0..count)],
            };
            let others = self.items_of(user).iter().copied().filter(|&other| other != item);
            columns.co_items.push(draw(others.collect()));
            let clicked = |other: &u32| self.items_of(*other).binary_search(&item).is_ok();
            let others = (0..self.users as u32).filter(|other| *other != user && clicked(other));
            columns.co_users.push(draw(others.collect()));
            columns.users.push(user);
            columns.items.push(item);
            columns.weights.push(1.0);
        }
        columns
    }
}

use proptest::prelude::*;
use rand::Rng;
use rand::seq::SliceRandom;

use super::*;
use crate::streams::stream;

/// Learned codes with the last level's residuals and codebook, all random.
struct Case {
    table: SidTable,
    residuals: Vec<f32>,
    codebook: Vec<f32>,
}

const DIM: usize = 3;

impl Case {
    fn random(seed: u64, rows: usize, sizes: [u32; 3]) -> Case {
        let mut rng = stream(seed, "collision case", 0);
        let codes =
            (0..rows).flat_map(|_| sizes.map(|size| rng.random_range(0..size))).collect::<Vec<_>>();
        let mut vectors = |count: usize| -> Vec<f32> {
            (0..count * DIM).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        let (residuals, codebook) = (vectors(rows), vectors(sizes[2] as usize));
        let table = SidTable::new(SidLayout::learned(sizes.to_vec()).unwrap(), codes).unwrap();
        Case { table, residuals, codebook }
    }

    fn last(&self) -> LastLevel<'_> {
        LastLevel::new(&self.residuals, &self.codebook, DIM).unwrap()
    }

    fn resolve(&self, policy: CollisionPolicy) -> Resolved {
        resolve(&self.table, policy, Some(self.last()), &SinkhornConfig::default()).unwrap()
    }

    /// Rows by prefix, found by comparing everything with everything.
    fn peers(&self, row: usize, prefix: usize) -> Vec<usize> {
        let all = 0..self.table.len();
        all.filter(|&other| self.table.prefix(other, prefix) == self.table.prefix(row, prefix))
            .collect()
    }
}

#[test]
fn policy_names_round_trip() {
    for policy in CollisionPolicy::ALL {
        assert_eq!(policy.to_string().parse::<CollisionPolicy>().unwrap(), policy);
        assert_eq!(serde_json::to_string(&policy).unwrap(), format!("\"{policy}\""));
    }
    let error = "Suffix".parse::<CollisionPolicy>().unwrap_err().to_string();
    assert!(error.contains("expected one of none, suffix, greedy, sinkhorn"), "{error}");
}

#[test]
fn suffixes_count_up_in_row_order() {
    let layout = SidLayout::learned(vec![4, 4]).unwrap();
    let table = SidTable::new(layout, vec![1, 2, 0, 0, 1, 2, 1, 2]).unwrap();
    let resolved =
        resolve(&table, CollisionPolicy::Suffix, None, &SinkhornConfig::default()).unwrap();
    assert_eq!(resolved.table.codes(), [1, 2, 0, 0, 0, 0, 1, 2, 1, 1, 2, 2]);
    assert_eq!(resolved.table.layout().suffix(), Some(3));
    let before = Collisions { entities: 4, unique: 2, colliding: 3, largest_bucket: 3 };
    let after = Collisions { entities: 4, unique: 4, colliding: 0, largest_bucket: 1 };
    assert_eq!((resolved.before, resolved.after, resolved.moved), (before, after, 0));
    assert_eq!(before.rate(), 0.5);
    assert_eq!(resolved.table.learned(), table);
}

#[test]
fn greedy_leaves_the_nearest_and_moves_the_others() {
    // Three rows on code 1 (at 1.0) of one group; code 2 (at 2.0) is taken by a fourth.
    let layout = SidLayout::learned(vec![1, 4]).unwrap();
    let table = SidTable::new(layout, vec![0, 1, 0, 1, 0, 1, 0, 2]).unwrap();
    let codebook = [0.0, 1.0, 2.0, 3.0];
    let residuals = [1.5, 1.1, 1.2, 2.0];
    let last = LastLevel::new(&residuals, &codebook, 1).unwrap();
    let greedy = CollisionPolicy::Greedy;
    let resolved = resolve(&table, greedy, Some(last), &SinkhornConfig::default()).unwrap();
    // Row 1 is nearest and stays, row 2 chooses before row 0 and takes code 0.
    assert_eq!(resolved.table.codes(), [0, 3, 0, 1, 0, 0, 0, 2]);
    assert_eq!((resolved.moved, resolved.after.colliding), (2, 0));
}

#[test]
fn groups_larger_than_the_codebook_stay_collided_and_are_counted() {
    let case = Case::random(3, 40, [1, 1, 8]);
    for policy in [CollisionPolicy::Greedy, CollisionPolicy::Sinkhorn] {
        let after = case.resolve(policy).after;
        assert!(after.unique <= 8 && after.colliding > 0, "{policy}: {after:?}");
    }
    assert_eq!(case.resolve(CollisionPolicy::Greedy).after.unique, 8);
}

#[test]
fn unfit_input_is_refused() {
    let case = Case::random(1, 6, [2, 2, 4]);
    let config = SinkhornConfig::default();
    let error = |table: &SidTable, policy, last, config: &SinkhornConfig| {
        resolve(table, policy, last, config).unwrap_err().to_string()
    };
    let (greedy, sinkhorn) = (CollisionPolicy::Greedy, CollisionPolicy::Sinkhorn);
    assert!(error(&case.table, greedy, None, &config).contains("`greedy` needs"));
    let short = LastLevel::new(&case.residuals[DIM..], &case.codebook, DIM).unwrap();
    let message = error(&case.table, greedy, Some(short), &config);
    assert!(message.contains("5 residuals and 4 codes, expected 6 and 4"), "{message}");
    let zero = SinkhornConfig { epsilon: 0.0, ..config };
    assert!(error(&case.table, sinkhorn, Some(case.last()), &zero).contains("epsilon is 0"));
    let resolved = case.resolve(CollisionPolicy::Suffix).table;
    assert!(error(&resolved, greedy, Some(case.last()), &config).contains("already resolved"));
    let nan = LastLevel::new(&[0.0, f32::NAN], &[0.0], 1).unwrap_err().to_string();
    assert!(nan.contains("residuals row 1 holds NaN"), "{nan}");
}

/// Sinkhorn-Knopp as LETTER's published code has it, in the linear domain: the transport plan.
fn sinkhorn_reference(mut q: Vec<Vec<f64>>, config: &SinkhornConfig) -> Vec<Vec<f64>> {
    let (rows, codes) = (q.len(), q[0].len());
    let flat: Vec<f64> = q.concat();
    let high = flat.iter().copied().fold(f64::MIN, f64::max);
    let low = flat.iter().copied().fold(f64::MAX, f64::min);
    let (middle, amplitude) = ((high + low) / 2.0, high - (high + low) / 2.0 + 1e-5);
    for value in q.iter_mut().flatten() {
        *value = (-(*value - middle) / amplitude / config.epsilon).exp();
    }
    for _ in 0..config.iterations {
        for row in &mut q {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|value| *value /= sum * rows as f64);
        }
        for code in 0..codes {
            let sum: f64 = q.iter().map(|row| row[code]).sum();
            q.iter_mut().for_each(|row| row[code] /= sum * codes as f64);
        }
    }
    q
}

#[test]
fn sinkhorn_agrees_with_the_linear_domain() {
    let config = SinkhornConfig::default();
    for seed in 0..40 {
        let case = Case::random(seed, 2 + seed as usize % 7, [1, 1, 24]);
        let rows: Vec<u32> = (0..case.table.len() as u32).collect();
        let distances: Vec<Vec<f64>> =
            rows.iter().map(|&r| (0..24).map(|c| case.last().distance(r, c)).collect()).collect();
        let plan = sinkhorn_reference(distances.clone(), &config);
        let owner = |code: &usize| {
            (0..rows.len()).max_by(|&a, &b| plan[a][*code].total_cmp(&plan[b][*code]))
        };
        let expected: Vec<Option<u32>> = (0..rows.len())
            .map(|row| {
                let owned = (0..24).filter(|code| owner(code) == Some(row));
                let distance = |code: usize| distances[row][code];
                let nearest = owned.min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
                nearest.map(|code| code as u32)
            })
            .collect();
        let offered: Vec<u32> = (0..24).collect();
        assert_eq!(
            sinkhorn::assign(&rows, &offered, &case.last(), &config),
            expected,
            "seed {seed}"
        );
    }
}

#[test]
fn sinkhorn_separates_all_when_there_is_room() {
    for seed in 0..20 {
        let case = Case::random(seed, 120, [2, 2, 64]);
        let resolved = case.resolve(CollisionPolicy::Sinkhorn);
        assert!(resolved.before.colliding > 20, "{:?}", resolved.before);
        assert_eq!(resolved.after.colliding, 0, "{:?}", resolved.after);
    }
}

#[test]
fn rows_with_equal_residuals_stay_together_without_harm() {
    let mut case = Case::random(5, 6, [1, 1, 4]);
    case.residuals.fill(0.25);
    let resolved = case.resolve(CollisionPolicy::Sinkhorn);
    assert!(resolved.after.colliding <= resolved.before.colliding);
    let extreme = [f32::MAX, -f32::MAX, f32::MIN_POSITIVE, 0.0];
    let last = LastLevel::new(&extreme, &extreme, 1).unwrap();
    let codes = sinkhorn::assign(&[0, 1, 2, 3], &[0, 1, 2, 3], &last, &SinkhornConfig::default());
    assert!(codes.iter().flatten().all(|&code| code < 4));
}

#[test]
fn new_rows_continue_the_suffixes_and_may_widen_the_digit() {
    let layout = SidLayout::learned(vec![4, 4]).unwrap();
    let table = |codes| SidTable::new(layout.clone(), codes).unwrap();
    let config = SinkhornConfig::default();
    let suffix = CollisionPolicy::Suffix;
    let existing = resolve(&table(vec![1, 2, 0, 0, 1, 2]), suffix, None, &config).unwrap().table;
    let last = LastLevel::new(&[0.0; 3], &[0.0; 4], 1).unwrap();
    let found = extend(&existing, &table(vec![1, 2, 3, 3, 1, 2]), Some(last)).unwrap();
    assert_eq!(found.codes(), [1, 2, 2, 3, 3, 0, 1, 2, 3]);
    assert_eq!(found.layout().suffix(), Some(4));
    let other = SidLayout::learned(vec![4, 5]).unwrap();
    let error =
        extend(&existing, &SidTable::new(other, vec![1, 2]).unwrap(), Some(last)).unwrap_err();
    assert!(error.to_string().contains("[4, 5], the existing ones [4, 4]"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_policy_keeps_the_prefix_and_never_adds_collisions(seed in any::<u64>()) {
        let case = Case::random(seed, (seed % 50) as usize + 1, [2, 3, 5]);
        for policy in CollisionPolicy::ALL {
            let resolved = case.resolve(policy);
            for row in 0..case.table.len() {
                prop_assert_eq!(resolved.table.prefix(row, 2), case.table.prefix(row, 2));
            }
            prop_assert!(resolved.after.unique >= resolved.before.unique);
            prop_assert_eq!(resolved.table.layout().collision(), policy);
            prop_assert_eq!(&case.resolve(policy).table, &resolved.table);
        }
    }

    /// Rows alone on their ID keep it, whoever else has to move.
    #[test]
    fn rows_alone_never_move(seed in any::<u64>()) {
        let case = Case::random(seed, 40, [2, 3, 8]);
        for policy in [CollisionPolicy::Greedy, CollisionPolicy::Sinkhorn] {
            let table = case.resolve(policy).table;
            for row in (0..40).filter(|&row| case.peers(row, 3).len() == 1) {
                prop_assert_eq!(table.row(row), case.table.row(row));
            }
        }
    }

    #[test]
    fn suffix_makes_every_id_unique(seed in any::<u64>()) {
        let case = Case::random(seed, 60, [2, 2, 3]);
        let resolved = case.resolve(CollisionPolicy::Suffix);
        prop_assert_eq!(resolved.after.unique, 60);
        prop_assert_eq!(resolved.table.learned(), case.table);
    }

    #[test]
    fn greedy_fills_every_group_and_moves_only_contested_rows(seed in any::<u64>()) {
        let case = Case::random(seed, 40, [2, 3, 8]);
        let table = case.resolve(CollisionPolicy::Greedy).table;
        for row in 0..40 {
            let group = case.peers(row, 2);
            let mut codes: Vec<u32> = group.iter().map(|&row| table.row(row)[2]).collect();
            codes.sort_unstable();
            codes.dedup();
            prop_assert_eq!(codes.len(), group.len().min(8));
            let bucket = case.peers(row, 3);
            let stays = |row: &usize| table.row(*row) == case.table.row(*row);
            let distance = |row: usize| {
                case.last().distance(row as u32, case.table.row(row)[2] as usize)
            };
            let nearest = bucket.iter().copied().min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            prop_assert!(stays(&nearest.unwrap()));
            prop_assert!(group.len() > 8 || bucket.iter().filter(|row| stays(row)).count() == 1);
        }
    }

    /// Which rows collide is what counts, not where they stand in the table.
    #[test]
    fn greedy_does_not_depend_on_row_order(seed in any::<u64>()) {
        let case = Case::random(seed, 30, [2, 2, 8]);
        let mut order: Vec<usize> = (0..30).collect();
        order.shuffle(&mut stream(seed, "order", 0));
        let permuted = Case {
            table: SidTable::new(
                case.table.layout().clone(),
                order.iter().flat_map(|&row| case.table.row(row).to_vec()).collect(),
            ).unwrap(),
            residuals: order.iter().flat_map(|&r| case.residuals[r * DIM..][..DIM].to_vec()).collect(),
            codebook: case.codebook.clone(),
        };
        let (plain, moved) = (case.resolve(CollisionPolicy::Greedy), permuted.resolve(CollisionPolicy::Greedy));
        for (at, &row) in order.iter().enumerate() {
            prop_assert_eq!(plain.table.row(row), moved.table.row(at));
        }
    }

    /// Old and new rows together collide no more than they must.
    #[test]
    fn new_rows_take_ids_of_their_own_while_there_are_any(seed in any::<u64>()) {
        let old = Case::random(seed, 30, [2, 3, 8]);
        let new = Case::random(seed ^ 1, 12, [2, 3, 8]);
        for policy in CollisionPolicy::ALL {
            let existing = old.resolve(policy).table;
            let found = extend(&existing, &new.table, Some(new.last())).unwrap();
            let learned = |table: &SidTable, row| table.prefix(row, 2).to_vec();
            let all: Vec<&[u32]> = existing.rows().chain(found.rows()).collect();
            for row in 0..found.len() {
                prop_assert_eq!(learned(&found, row), learned(&new.table, row));
                let sharing = all.iter().filter(|id| **id == found.row(row)).count();
                let group = all.iter().filter(|id| id[..2] == found.row(row)[..2]);
                let distinct = group.map(|id| id[2]).collect::<std::collections::BTreeSet<_>>();
                match policy {
                    CollisionPolicy::None => prop_assert_eq!(found.row(row), new.table.row(row)),
                    CollisionPolicy::Suffix => prop_assert_eq!(sharing, 1),
                    _ => prop_assert!(sharing == 1 || distinct.len() == 8),
                }
            }
        }
    }
}

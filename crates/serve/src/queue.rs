//! A bounded queue between request handlers and the threads that work.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Items with weights, first in first out. Whoever pushes never waits: what does not fit is given back.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(usize, T)>,
    weight: usize,
    closed: bool,
}

/// Why an item was given back.
#[derive(Debug, PartialEq, Eq)]
pub enum Rejected<T> {
    /// The weight already queued leaves no room for it.
    Full(T),
    /// Nothing more is taken.
    Closed(T),
}

impl<T> Queue<T> {
    /// An empty queue for items of this weight together. A single item may be heavier, and one without weight
    /// always finds a place.
    pub fn new(capacity: usize) -> Queue<T> {
        let state = State { items: VecDeque::new(), weight: 0, closed: false };
        Queue { state: Mutex::new(state), filled: Condvar::new(), capacity }
    }

    /// Adds an item at the end.
    pub fn push(&self, weight: usize, item: T) -> Result<(), Rejected<T>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Rejected::Closed(item));
        }
        if weight > 0 && state.weight > 0 && state.weight + weight > self.capacity {
            return Err(Rejected::Full(item));
        }
        state.weight += weight;
        state.items.push_back((weight, item));
        self.filled.notify_one();
        Ok(())
    }

    /// Takes items from the front, at least one and otherwise at most `weight` together; waits until
    /// there is one. None once the queue is closed and empty.
    pub fn pop(&self, weight: usize) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = Vec::new();
        let mut sum = 0;
        while let Some(&(next, _)) = state.items.front() {
            if !taken.is_empty() && sum + next > weight {
                break;
            }
            let Some((next, item)) = state.items.pop_front() else { break };
            sum += next;
            state.weight -= next;
            taken.push(item);
        }
        Some(taken)
    }

    /// Weight that waits.
    pub fn weight(&self) -> usize {
        self.lock().weight
    }

    /// Takes nothing more; what is queued is still handed out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Takes nothing more, and drops what is queued.
    pub fn abandon(&self) {
        self.close();
        let mut state = self.lock();
        state.weight = 0;
        let items = std::mem::take(&mut state.items);
        drop(state);
        drop(items);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code runs under the lock that could leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_by_weight() {
        let queue = Queue::new(10);
        assert!([(4, 'a'), (4, 'b'), (2, 'c')].into_iter().all(|(w, i)| queue.push(w, i).is_ok()));
        assert_eq!(queue.push(1, 'd'), Err(Rejected::Full('d')));
        assert_eq!(queue.weight(), 10);
        assert_eq!(queue.pop(8), Some(vec!['a', 'b']));
        assert_eq!(queue.pop(1), Some(vec!['c']));
    }

    #[test]
    fn one_item_heavier_than_the_queue_is_taken_alone() {
        let queue = Queue::new(3);
        assert!(queue.push(5, 'a').is_ok());
        assert_eq!(queue.push(1, 'b'), Err(Rejected::Full('b')));
        assert!(queue.push(0, 'c').is_ok());
        assert_eq!(queue.pop(6), Some(vec!['a', 'c']));
        queue.push(1, 'd').unwrap();
        queue.abandon();
        assert_eq!((queue.pop(1), queue.weight()), (None, 0));
    }

    #[test]
    fn a_closed_queue_hands_out_the_rest_and_wakes_who_waits() {
        let queue = Queue::new(3);
        queue.push(1, 'a').unwrap();
        queue.close();
        assert_eq!(queue.push(1, 'b'), Err(Rejected::Closed('b')));
        assert_eq!(queue.pop(1), Some(vec!['a']));
        assert_eq!(queue.pop(1), None);

        let queue = Queue::<char>::new(3);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.pop(1));
            queue.close();
            assert_eq!(waiting.join().unwrap(), None);
        });
    }
}

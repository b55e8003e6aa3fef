//! What to request: the memory (or CPU) that wastes least, killed executions included.
//!
//! A request that is too high is paid for and not used; one that is too low is killed, wastes all that was held, and is
//! tried again with twice as much. Between them lies the request of least expected waste, the answer of this module,
//! beside how likely it is to be killed.
//!
//! Online ([`Allocator`]) a group of executions (a step, say) is followed by several experts, with and without the sizes
//! of inputs. What an expert said of past executions and how far the peaks lay off is its forecast of the next peak,
//! widened by what other groups' deviations show, by the group's peaks as such, and by a tail beyond the highest. The
//! expert whose own requests would have cost least is followed. (Sizey, Bader et al., CLUSTER 2024, combines models
//! by their past accuracy; here it is their past waste. The forecast's waste is that of Tovar et al., "A job sizing
//! strategy for high-throughput scientific workflows", TPDS 2018, with retries that double.)
//!
//! A kill has a price beside its waste, in executions: [`Params::kill_price`] times what an execution wastes on average.
//! Small executions, where memory costs next to nothing, are therefore given plenty.

mod allocator;
mod experts;
mod forecast;
#[cfg(test)]
mod real_runs;
mod realised;
mod step;
mod tails;
#[cfg(test)]
mod tests;
mod walk;

pub use allocator::{Allocator, Answer, Task};
pub use forecast::{Atom, Choice, Forecast};
pub use realised::{RIVALS, Realised, Rivals};
pub use step::{Observed, Outcome, for_step, step_forecast};
pub use walk::{Allocated, AllocationScore, allocate_online};

/// A request and what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allocation {
    /// What to ask for, in the unit of the target.
    pub request: f64,
    /// Probability that the execution needs more.
    pub kill_probability: f64,
    /// Expected waste in unit × hours, with retries.
    pub expected_waste: f64,
}

/// How to allocate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Of two requests the one that is killed more often than this is not made, 0-1. What is known may not suffice: no
    /// request exceeds twice the highest peak known or expected, which is what a retry would be given.
    pub max_kill_probability: f64,
    /// What a kill costs beside its waste, in average executions' waste.
    pub kill_price: f64,
    /// Share of an execution's time after which it is killed, 0-1.
    pub killed_after: f64,
    /// Least request.
    pub least: f64,
    /// Highest request.
    pub most: f64,
}

impl Default for Params {
    /// One in ten, 15 executions, the whole time, no bounds.
    fn default() -> Self {
        Self { max_kill_probability: 0.1, kill_price: 15.0, killed_after: 1.0, least: 0.0, most: f64::INFINITY }
    }
}

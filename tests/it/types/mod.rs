//! The six types of task.
mod fields;
mod life;

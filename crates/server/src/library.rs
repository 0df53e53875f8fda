//! What is written down, as it is searched just now.

use std::sync::Arc;

use sotto_knowledge::Index;

/// The documents that agents are shown passages of. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Library {
    index: Option<Arc<Index>>,
}

impl Library {
    /// One that does not change.
    #[must_use]
    pub fn fixed(index: Index) -> Self {
        Self { index: Some(Arc::new(index)) }
    }

    /// What can be searched at this moment; nothing before anything has been read.
    #[must_use]
    pub fn index(&self) -> Option<Arc<Index>> {
        self.index.clone()
    }
}

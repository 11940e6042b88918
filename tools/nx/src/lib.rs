//! Provisions devices: builds signed OS images, flashes them, resets to factory state.

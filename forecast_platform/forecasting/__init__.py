"""The forecasting core: frames in, frames out; no files, no network, no clock, no orchestrator."""

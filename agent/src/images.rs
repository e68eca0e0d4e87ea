//! Image tarballs: read, verified, streamed into the engine, recorded.

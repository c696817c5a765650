// SPDX-License-Identifier: Apache-2.0
/// Files and block devices through Linux system calls: the one place where native code is called.
/// Start at [io.nbdfleece.cache.posix.AsyncFile] for I/O that never makes an event loop wait, at
/// [io.nbdfleece.cache.posix.LinuxFile] for the plain calls.
///
/// ```
///   AsyncFile ──inline when it need not wait──▶ LinuxFile ─▶ LinuxCalls ─▶ libc
///       └──────else on a thread of IoWorkers───────▲
/// ```
@NullMarked
package io.nbdfleece.cache.posix;

import org.jspecify.annotations.NullMarked;

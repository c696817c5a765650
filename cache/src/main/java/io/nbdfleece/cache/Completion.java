// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;

/// The end of one asynchronous operation. Exactly one method is called, exactly once, on any
/// thread: inside the call that started the operation when it need not wait, or later. No lock of
/// the callee is held while it is called.
public interface Completion {

  /// The operation did what it was asked to.
  void succeeded();

  /// The operation failed.
  void failed(IOException error);
}

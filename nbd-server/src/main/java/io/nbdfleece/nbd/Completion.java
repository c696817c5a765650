// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.io.IOException;

/// The end of one request to an [Export]. Exactly one method is called, exactly once, on any
/// thread, inside the call that started the request or later.
public interface Completion {

  /// The request did what it was asked to.
  void succeeded();

  /// The request failed; [NbdError#from] tells what the client sees.
  void failed(IOException error);
}

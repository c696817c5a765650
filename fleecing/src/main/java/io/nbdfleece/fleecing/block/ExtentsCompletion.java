// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.io.IOException;
import java.util.List;

/// The end of one status request; exactly one method is called, exactly once.
public interface ExtentsCompletion {

  /// Consecutive extents from the offset asked for, at least one.
  void succeeded(List<BlockExtent> extents);

  /// The status could not be found out.
  void failed(IOException error);
}

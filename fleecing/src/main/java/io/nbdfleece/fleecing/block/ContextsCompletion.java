// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.io.IOException;
import java.util.List;

/// The end of one request for metadata contexts; exactly one method is called, exactly once.
public interface ContextsCompletion {

  /// One entry for each context asked for, in that order, each from the offset asked for on. They
  /// may cover less than was asked, and more or less than one another.
  void succeeded(List<ContextStatus> statuses);

  /// The status could not be found out.
  void failed(IOException error);
}

// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.io.IOException;
import java.util.List;

/// The end of one block status request to an [Export]. Exactly one method is called, exactly once.
public interface StatusCompletion {

  /// One entry per context asked for, in that order, each starting at the offset asked for. They
  /// may cover less than was asked, at least one extent each, and more or less than one another:
  /// the server cuts them to equal coverage.
  void succeeded(List<ContextExtents> contexts);

  /// The status could not be found out.
  void failed(IOException error);
}

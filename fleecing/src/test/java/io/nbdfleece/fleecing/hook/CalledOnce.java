// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertFalse;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/// A completion that insists on being called once.
abstract class CalledOnce implements Completion {
  private boolean ended;

  abstract void end(@Nullable IOException error);

  @Override
  public void succeeded() {
    assertFalse(ended, "completed twice");
    ended = true;
    end(null);
  }

  @Override
  public void failed(IOException error) {
    assertFalse(ended, "completed twice");
    ended = true;
    end(error);
  }
}

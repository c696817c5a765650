// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.io.IOException;

/// Someone else uses the image in a way that does not go with ours.
public final class ImageInUseException extends IOException {
  private static final long serialVersionUID = 1;

  public ImageInUseException(String message) {
    super(message);
  }
}

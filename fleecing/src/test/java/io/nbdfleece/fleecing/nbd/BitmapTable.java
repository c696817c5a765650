// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.BitmapUse;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapException.Reason;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/// Bitmaps that a test puts here.
final class BitmapTable implements ExportedBitmaps {
  enum State {
    ENABLED,
    DISABLED,
    BUSY,
    INCONSISTENT
  }

  private final Map<BitmapRef, State> states = new ConcurrentHashMap<>();
  private final Map<BitmapRef, GranuleSet> contents = new ConcurrentHashMap<>();

  /// Sizes of views that have bitmaps.
  final Map<String, Long> views = new ConcurrentHashMap<>();

  final Set<BitmapRef> inUse = ConcurrentHashMap.newKeySet();

  BitmapRef put(String disk, String name, State state, GranuleSet content) {
    BitmapRef ref = new BitmapRef(disk, name);
    states.put(ref, state);
    contents.put(ref, content);
    return ref;
  }

  @Override
  public OptionalLong viewBytes(String name) {
    Long sizeBytes = views.get(name);
    return sizeBytes == null ? OptionalLong.empty() : OptionalLong.of(sizeBytes);
  }

  @Override
  public Optional<BitmapInfo> find(BitmapRef bitmap) {
    return Optional.ofNullable(states.get(bitmap))
        .map(
            state ->
                new BitmapInfo(
                    bitmap.name(),
                    65_536,
                    0,
                    state == State.ENABLED,
                    state == State.BUSY,
                    false,
                    state == State.INCONSISTENT,
                    false));
  }

  @Override
  public BitmapUse use(BitmapRef bitmap) throws BitmapException {
    State state = states.get(bitmap);
    if (state == State.INCONSISTENT) {
      throw new BitmapException(
          Reason.INCONSISTENT, "Bitmap '" + bitmap.name() + "' is inconsistent and cannot be used");
    }
    if (state == State.BUSY || !inUse.add(bitmap)) {
      throw new BitmapException(
          Reason.BUSY,
          "Bitmap '"
              + bitmap.name()
              + "' is currently in use by another operation and cannot be used");
    }
    return new BitmapUse() {
      @Override
      public GranuleSet current() {
        GranuleSet content = contents.get(bitmap);
        if (content == null) {
          throw new IllegalStateException("no content: " + bitmap);
        }
        return content;
      }

      @Override
      public void close() {
        inUse.remove(bitmap);
      }
    };
  }
}

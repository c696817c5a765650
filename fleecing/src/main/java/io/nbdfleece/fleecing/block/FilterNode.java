// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.FileSender;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// An element that stands on another one and changes what passes. What a filter does not say itself
/// its child answers, so that nothing which the disk below can do is hidden.
///
/// Each says itself what it does to reads and changes: a filter that forgot one would let it
/// through. Besides, these two are the guest's path, and code that all filters shared would be
/// compiled for all of them at once.
public interface FilterNode extends BlockNode {

  /// What it stands on; constant.
  BlockNode child();

  /// A read, too. The default would take it apart, and hide that the child can do it at once.
  @Override
  void read(long offsetBytes, List<ByteBuffer> targets, Completion done);

  /// A read, too.
  @Override
  Optional<FileSender> sender(long offsetBytes, int lengthBytes);

  @Override
  default long sizeBytes() {
    return child().sizeBytes();
  }

  @Override
  default int blockBytes() {
    return child().blockBytes();
  }

  @Override
  default Set<NodeAbility> abilities() {
    return child().abilities();
  }

  @Override
  default List<String> contexts() {
    return child().contexts();
  }

  @Override
  default void flush(Completion done) {
    child().flush(done);
  }

  @Override
  default void cache(long offsetBytes, long lengthBytes, Completion done) {
    child().cache(offsetBytes, lengthBytes, done);
  }

  @Override
  default void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    child().status(offsetBytes, lengthBytes, extentsMax, done);
  }

  @Override
  default void contextStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      ContextsCompletion done) {
    child().contextStatus(offsetBytes, lengthBytes, contexts, extentsMax, done);
  }

  @Override
  default Optional<String> damage() throws IOException {
    return child().damage();
  }

  @Override
  default void close() throws IOException {
    child().close();
  }
}

// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

/// Being told of events; closing it ends that. Any thread.
public interface EventSubscription extends AutoCloseable {
  @Override
  void close();
}

// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestPlan;

/// Says at the end of the run what was skipped because something is not installed.
public final class SkippedPeersReport implements TestExecutionListener {

  @Override
  public void testPlanExecutionFinished(TestPlan plan) {
    if (!Peer.missing().isEmpty()) {
      System.out.println("SKIPPED for want of:");
      Peer.missing().forEach(message -> System.out.println("  " + message));
    }
  }
}

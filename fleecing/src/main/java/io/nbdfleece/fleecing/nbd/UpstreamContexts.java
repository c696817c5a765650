// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.block.ContextStatus;
import io.nbdfleece.fleecing.block.ContextStatus.Stretch;
import io.nbdfleece.fleecing.block.ContextsCompletion;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// What another server says of several metadata contexts, cut to what was asked. Of
/// `base:allocation`, where the server does not know it, all is data. Flags of other contexts pass
/// as they are: nothing is known of what they mean, so nothing may be rounded, and an answer of
/// which an edge lies inside of a block ends there or, as the first, is refused.
final class UpstreamContexts implements StatusCompletion {
  private final long lengthBytes;
  private final int blockBytes;
  private final List<String> asked;
  private final ContextsCompletion done;

  UpstreamContexts(long lengthBytes, int blockBytes, List<String> asked, ContextsCompletion done) {
    this.lengthBytes = lengthBytes;
    this.blockBytes = blockBytes;
    this.asked = asked;
    this.done = done;
  }

  @Override
  public void succeeded(List<ContextExtents> answered) {
    List<ContextStatus> statuses = new ArrayList<>(asked.size());
    for (String name : asked) {
      List<Stretch> stretches = new ArrayList<>();
      for (ContextExtents answer : answered) {
        if (answer.context().equals(name)) {
          translate(name, answer.extents(), stretches);
          break;
        }
      }
      if (stretches.isEmpty() && name.equals(ExportInfo.BASE_ALLOCATION)) {
        stretches.add(new Stretch(lengthBytes, 0));
      }
      if (stretches.isEmpty()) {
        done.failed(new IOException("upstream server: no usable status of " + name));
        return;
      }
      statuses.add(new ContextStatus(name, stretches));
    }
    done.succeeded(statuses);
  }

  private void translate(String name, List<Extent> from, List<Stretch> stretches) {
    boolean base = name.equals(ExportInfo.BASE_ALLOCATION);
    long covered = 0;
    for (Extent extent : from) {
      long used = Math.min(extent.lengthBytes(), lengthBytes - covered);
      boolean unaligned = covered + used != lengthBytes && used % blockBytes != 0;
      used -= unaligned ? used % blockBytes : 0;
      if (used > 0) {
        // NBD_STATE_HOLE alone says nothing of the content: it has to be read.
        boolean undefined = base && (extent.flags() & Extent.ZERO) == 0;
        stretches.add(new Stretch(used, undefined ? 0 : extent.flags()));
        covered += used;
      }
      if (unaligned || covered == lengthBytes) {
        return;
      }
    }
  }

  @Override
  public void failed(IOException error) {
    done.failed(UpstreamCompletions.asEio(error));
  }
}

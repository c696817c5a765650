// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The answer to one request for metadata contexts, put together from several places. All of it
/// comes or none: a failure is never mixed with what is known. One thread at a time.
final class ContextAnswers implements StatusCompletion {
  private final List<String> asked;
  private final StatusCompletion done;
  private final Map<String, List<Extent>> known = new HashMap<>();

  ContextAnswers(List<String> asked, StatusCompletion done) {
    this.asked = asked;
    this.done = done;
  }

  boolean wants(String context) {
    return asked.contains(context);
  }

  void put(String context, List<Extent> extents) {
    known.put(context, extents);
  }

  /// Those that nothing is known of yet, in the order asked.
  List<String> missing() {
    return asked.stream().filter(context -> !known.containsKey(context)).toList();
  }

  /// The rest is here.
  @Override
  public void succeeded(List<ContextExtents> rest) {
    rest.forEach(answer -> known.put(answer.context(), answer.extents()));
    List<ContextExtents> all = new ArrayList<>(asked.size());
    for (String context : asked) {
      List<Extent> extents = known.get(context);
      if (extents == null) {
        done.failed(new NbdException(NbdError.EIO, "block status: nothing known of " + context));
        return;
      }
      all.add(new ContextExtents(context, extents));
    }
    done.succeeded(all);
  }

  @Override
  public void failed(IOException error) {
    done.failed(error);
  }
}

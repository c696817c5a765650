// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/// What may have been meant by a word that there is not.
final class NearestWord {
  /// A shorter beginning could be that of anything.
  private static final int BEGINNING_LENGTH_MIN = 3;

  /// One mistake in so many letters is a slip; with more it is another word.
  private static final int LETTERS_PER_MISTAKE = 3;

  private NearestWord() {}

  /// The word that was typed with the fewest mistakes, else the first one that begins so; empty
  /// when none is near.
  static Optional<String> to(String typed, Collection<String> words) {
    Optional<String> nearest =
        words.stream()
            .filter(word -> mistakes(typed, word) <= typed.length() / LETTERS_PER_MISTAKE)
            .min(Comparator.comparingInt(word -> mistakes(typed, word)));
    return nearest.isPresent() || typed.length() < BEGINNING_LENGTH_MIN
        ? nearest
        : words.stream().filter(word -> word.startsWith(typed)).findFirst();
  }

  /// Letters left out, added, taken for another, or typed in the wrong order.
  private static int mistakes(String typed, String meant) {
    int[][] least = new int[typed.length() + 1][meant.length() + 1]; // for so many letters of each
    for (int i = 0; i <= typed.length(); i++) {
      for (int j = 0; j <= meant.length(); j++) {
        if (i == 0 || j == 0) {
          least[i][j] = i + j;
          continue;
        }
        int other = typed.charAt(i - 1) == meant.charAt(j - 1) ? 0 : 1;
        int best = Math.min(least[i - 1][j], least[i][j - 1]) + 1;
        best = Math.min(best, least[i - 1][j - 1] + other);
        if (i > 1
            && j > 1
            && typed.charAt(i - 1) == meant.charAt(j - 2)
            && typed.charAt(i - 2) == meant.charAt(j - 1)) {
          best = Math.min(best, least[i - 2][j - 2] + 1);
        }
        least[i][j] = best;
      }
    }
    return least[typed.length()][meant.length()];
  }
}

// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

final class FiguresTest {
  @Test
  void medianOfAnOddNumberIsTheMiddleOne() {
    assertEquals(5, new Figures(List.of(9.0, 1.0, 5.0)).median());
  }

  @Test
  void medianOfAnEvenNumberIsTheMeanOfTheMiddleTwo() {
    assertEquals(5.5, new Figures(List.of(9.0, 1.0, 5.0, 6.0)).median());
  }

  @Test
  void nothingMeasuredHasNoFigure() {
    Figures none = new Figures(List.of());
    assertEquals(Double.NaN, none.median());
    assertEquals(Double.NaN, none.min());
    assertEquals(Double.NaN, none.max());
  }

  @Test
  void spreadIsFromTheSmallestToTheGreatest() {
    Figures figures = new Figures(List.of(4.0)).and(2).and(3);
    assertEquals(2, figures.min());
    assertEquals(4, figures.max());
  }
}

// SPDX-License-Identifier: Apache-2.0

/// The work that java watches when the program is packaged, so that the next process has classes
/// linked and profiles at hand (JEP 483, 514, 515). Start at [WarmUp].
@NullMarked
package io.nbdfleece.cli.warmup;

import org.jspecify.annotations.NullMarked;

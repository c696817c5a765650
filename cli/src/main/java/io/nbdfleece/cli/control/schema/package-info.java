// SPDX-License-Identifier: Apache-2.0
/// The types of QMP's commands and events: what is checked is what `query-qmp-schema` shows.
@NullMarked
package io.nbdfleece.cli.control.schema;

import org.jspecify.annotations.NullMarked;

// SPDX-License-Identifier: Apache-2.0
/// The types of QMP's commands and events: what is checked is what `query-qmp-schema` shows.
///
/// ```
///   QmpType ─┬▶ SchemaCheck: JSON fits, or QEMU's message
///            └▶ SchemaInfo: the answer of query-qmp-schema
/// ```
@NullMarked
package io.nbdfleece.cli.control.schema;

import org.jspecify.annotations.NullMarked;

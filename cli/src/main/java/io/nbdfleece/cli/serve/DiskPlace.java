// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.nbd.NbdUri;
import java.util.Optional;

/// A disk to serve and where it is.
///
/// @param upstream the export of another server that holds it; a local file or device when empty
public record DiskPlace(DiskConfig config, Optional<NbdUri> upstream) {}

// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.UserPrincipal;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.nio.file.attribute.UserPrincipalNotFoundException;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import jdk.net.ExtendedSocketOptions;
import jdk.net.UnixDomainPrincipal;

/// Who may use the control socket.
///
/// The mode of the socket file keeps others away, and the kernel enforces it. Beside it stands what
/// the kernel tells of each client: somebody may have changed the mode, or handed a descriptor on.
///
/// @param users who may; whoever the file's mode lets in, when there is a group
/// @param group owns the socket file, whose mode is 0660 then and 0600 otherwise. Who is in the
///   group is the kernel's to know (a client's further groups are not told), so with a group the
///   mode alone decides
record QmpAccess(Set<UserPrincipal> users, Optional<GroupPrincipal> group) {
  QmpAccess {
    users = Set.copyOf(users);
  }

  /// The user that we run as, root, and the members of a group.
  static QmpAccess of(Optional<String> groupName) throws IOException {
    UserPrincipalLookupService names = FileSystems.getDefault().getUserPrincipalLookupService();
    Set<UserPrincipal> users = new HashSet<>();
    users.add(Files.getOwner(Path.of("/proc/self")));
    users.add(names.lookupPrincipalByName("0"));
    if (groupName.isEmpty()) {
      return new QmpAccess(users, Optional.empty());
    }
    try {
      return new QmpAccess(users, Optional.of(names.lookupPrincipalByGroupName(groupName.get())));
    } catch (UserPrincipalNotFoundException e) {
      throw new IOException(
          "control socket: no group is called " + groupName.get() + ": check --qmp-group", e);
    }
  }

  /// Why this client may not, if it may not.
  Optional<String> refusal(SocketChannel client) throws IOException {
    if (group.isPresent()) {
      return Optional.empty();
    }
    UnixDomainPrincipal peer = client.getOption(ExtendedSocketOptions.SO_PEERCRED);
    return users.contains(peer.user())
        ? Optional.empty()
        : Optional.of(
            "User "
                + peer.user().getName()
                + " may not use this socket: run as its owner or root, or start the server with"
                + " --qmp-group GROUP");
  }
}

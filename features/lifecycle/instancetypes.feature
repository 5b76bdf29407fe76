Feature: Instance types and preferences
  An instance type says how large a VM is, a preference what suits its guest. A VM keeps what it was made with: their revisions
  are recorded for it, and what becomes of the originals does not touch it.

  Scenario: A VM starts with the CPUs and memory of its instance type, as its preference wants them
    Given a cluster with 1 node
    When the client creates the instance type "small" with 2 CPUs and 128Mi of memory
    And the client creates the preference "linux" for CPUs as cores and disks on sata
    And the client creates the VM "vm" of the instance type "small" and the preference "linux"
    Then the VM "vm" shows "Running"
    And the VMI "vm" has 1 socket, 2 cores and 128Mi of memory
    And the first disk of the VMI "vm" is on sata
    And the VMI "vm" says that it is of the instance type "small"
    And the VM "vm" is pinned to generation 1 of the instance type "small"

  Scenario: A change of the instance type changes neither a running VM nor a restarted one, but the next one
    Given a cluster with 1 node
    When the client creates the instance type "small" with 2 CPUs and 128Mi of memory
    And the client creates the VM "old" of the instance type "small"
    Then the VM "old" shows "Running"
    When the client sets the memory of the instance type "small" to 256Mi
    And 5 minutes pass
    Then the VMI "old" has 2 sockets, 1 core and 128Mi of memory
    And the VM "old" has no condition "RestartRequired"
    And the UID of the VMI "old" is noted
    When the client restarts the VM "old"
    Then the VMI "old" is replaced by another one
    And the VM "old" shows "Running"
    And the VMI "old" has 2 sockets, 1 core and 128Mi of memory
    And the VM "old" is pinned to generation 1 of the instance type "small"
    When the client creates the VM "new" of the instance type "small"
    Then the VM "new" shows "Running"
    And the VMI "new" has 2 sockets, 1 core and 256Mi of memory
    And the VM "new" is pinned to generation 2 of the instance type "small"

  Scenario: A VM survives its instance type
    Given a cluster with 1 node
    When the client creates the instance type "small" with 2 CPUs and 128Mi of memory
    And the client creates the VM "vm" of the instance type "small"
    Then the VM "vm" shows "Running"
    And the UID of the VMI "vm" is noted
    When the client deletes the instance type "small"
    And the client restarts the VM "vm"
    Then the VMI "vm" is replaced by another one
    And the VM "vm" shows "Running"
    And the VMI "vm" has 2 sockets, 1 core and 128Mi of memory

  Scenario: A missing instance type is named, and awaited
    Given a cluster with 1 node
    When the client creates the VM "vm" of the instance type "small"
    Then condition "Failure" of the VM "vm" is "True" because "FailedFindInstancetype": "virtualmachineclusterinstancetypes.instancetype.kubevirt.io"
    And the VM "vm" shows "Stopped"
    And there is no VMI "vm"
    When the client creates the instance type "small" with 2 CPUs and 128Mi of memory
    Then the VM "vm" shows "Running"
    And the VM "vm" has no condition "Failure"

  Scenario: Another instance type asks for a restart when it cannot be brought to the running guest
    Given a cluster with 1 node
    When the client creates the instance type "small" with 2 CPUs and 128Mi of memory
    And the client creates the instance type "large" with 4 CPUs and 256Mi of memory
    And the client creates the preference "linux" for CPUs as cores and disks on sata
    And the client creates the VM "vm" of the instance type "small" and the preference "linux"
    Then the VM "vm" shows "Running"
    And the UID of the VMI "vm" is noted
    When the client gives the VM "vm" the instance type "large"
    Then condition "RestartRequired" of the VM "vm" is "True"
    And the VM "vm" is pinned to generation 1 of the instance type "large"
    And the VMI "vm" has 1 socket, 2 cores and 128Mi of memory
    When the client restarts the VM "vm"
    Then the VMI "vm" is replaced by another one
    And the VM "vm" shows "Running"
    And the VMI "vm" has 1 socket, 4 cores and 256Mi of memory

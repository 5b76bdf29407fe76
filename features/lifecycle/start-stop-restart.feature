Feature: Start, stop and restart
  The three things an owner does every day, by patch, by deletion and by the subresources.

  Scenario: Start and stop by subresource
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Halted"
    And the client starts the VM "vm"
    Then the VM "vm" shows "Running"
    And the run strategy of the VM "vm" is "Always"
    When the client stops the VM "vm"
    Then the VM "vm" shows "Stopped"
    And the run strategy of the VM "vm" is "Halted"

  Scenario: Restart by subresource gives a new VMI under the same name
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the client restarts the VM "vm"
    Then the VMI "vm" is replaced by another one
    And the VM "vm" shows "Running"

  Scenario: Restart by deleting the VMI
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the client deletes the VMI "vm"
    Then the VMI "vm" is replaced by another one
    And the VM "vm" shows "Running"

  Scenario: A VM does not recreate its VMI before the old one is gone
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always", whose guest takes 20s to shut down
    Then the VM "vm" shows "Running"
    When the client deletes the VMI "vm"
    Then the VM "vm" shows "Stopping"
    And the VMI "vm" is replaced by another one
    And no two VMIs of the VM "vm" ever existed at once

  Scenario: What runs cannot be started again
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the client tries to start the VM "vm"
    Then it is refused with 409 and "VM is already running"

  Scenario: What is not running cannot be restarted
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Halted"
    And the client tries to restart the VM "vm"
    Then it is refused with 409 and "Halted does not support manual restart requests"

  Scenario: Configuration changes reach the guest at the next restart only
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the client patches the VM "vm" with:
      """
      {"spec": {"template": {"spec": {"domain": {"machine": {"type": "pc-q35-rhel9.4.0"}}}}}}
      """
    Then condition "RestartRequired" of the VM "vm" is "True"
    And the VMI "vm" has no "pc-q35-rhel9.4.0" in spec.domain.machine.type
    When the client restarts the VM "vm"
    Then the VMI "vm" is replaced by another one
    And the VM "vm" shows "Running"
    And the VMI "vm" has "pc-q35-rhel9.4.0" in spec.domain.machine.type
    And the VM "vm" has no condition "RestartRequired"

  Scenario: The firmware UUID stays the same across restarts
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    And the firmware UUID of the VMI "vm" is noted
    When the client restarts the VM "vm"
    Then the VMI "vm" is replaced by another one
    And the VM "vm" shows "Running"
    And the firmware UUID of the VMI "vm" is the one noted

  Scenario: Pause and unpause
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the client pauses the VMI "vm"
    Then the VM "vm" shows "Paused"
    And condition "Paused" of the VMI "vm" is "True"
    When the client unpauses the VMI "vm"
    Then the VM "vm" shows "Running"

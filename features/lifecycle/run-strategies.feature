Feature: Run strategies
  What a VirtualMachine does by itself, and what it waits for.

  Scenario: running: true starts, running: false stops
    Given a cluster with 1 node
    When the client creates the VM "vm" with running "true"
    Then the VM "vm" shows "Running"
    And the VM "vm" is created and ready
    When the client patches the VM "vm" with:
      """
      {"spec": {"running": false}}
      """
    Then the VM "vm" shows "Stopped"
    And there is no VMI "vm"
    And the VM "vm" is neither created nor ready

  Scenario: Always starts at once and keeps running
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the guest of "vm" powers off
    Then the VMI "vm" is replaced by another one
    And the VM "vm" shows "Running"

  Scenario: Halted does not start
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Halted"
    Then the VM "vm" shows "Stopped"
    When 10 minutes pass
    Then there is no VMI "vm"

  Scenario: Manual waits for the start request
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Manual"
    Then the VM "vm" shows "Stopped"
    When the client starts the VM "vm"
    Then the VM "vm" shows "Running"
    When the guest of "vm" powers off
    Then the VMI "vm" becomes Succeeded
    And the VM "vm" shows "Stopped"
    When 10 minutes pass
    Then the VM "vm" shows "Stopped"

  Scenario: RerunOnFailure restarts a failed guest, not one that shut down
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "RerunOnFailure"
    Then the VM "vm" shows "Running"
    When the guest of "vm" crashes
    Then the VMI "vm" is replaced by another one
    And the VM "vm" shows "Running"
    When the guest of "vm" powers off
    Then the VM "vm" shows "Stopped"
    When 10 minutes pass
    Then the VM "vm" shows "Stopped"

  Scenario: Once runs to the end and stays there
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Once"
    Then the VM "vm" shows "Running"
    When the guest of "vm" powers off
    Then the VMI "vm" becomes Succeeded
    And the VM "vm" shows "Stopped"
    When 10 minutes pass
    Then the VMI "vm" is still Succeeded

  Scenario Outline: A guest that ends by itself, under <strategy>
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "<strategy>"
    Then the VM "vm" shows "Running"
    When the guest of "vm" <ends>
    Then the VM "vm" ends up with <outcome>

    Examples:
      | strategy       | ends       | outcome            |
      | Always         | powers off | another VMI        |
      | Always         | crashes    | another VMI        |
      | Always         | panics     | another VMI        |
      | RerunOnFailure | powers off | no VMI             |
      | RerunOnFailure | crashes    | another VMI        |
      | RerunOnFailure | panics     | another VMI        |
      | Once           | powers off | a Succeeded VMI    |
      | Once           | crashes    | a Failed VMI       |

  Scenario: A change of strategy takes effect on the running VM
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the client sets the run strategy of the VM "vm" to "Halted"
    Then the VM "vm" shows "Stopped"
    When the client sets the run strategy of the VM "vm" to "Always"
    Then the VM "vm" shows "Running"

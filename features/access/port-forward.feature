Feature: Ports of a guest
  `virtctl port-forward` carries bytes between the user and a port of the guest; `virtctl ssh` stands on it.

  Background:
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Always"
    And the VM "testvm" is Running

  Scenario Outline: The SSH server answers through the <kind>
    When the user runs "virtctl port-forward --stdio=true <kind>/testvm/default 22" and answers:
      | SSH-2.0-OpenSSH_9.8 | hello |
      | hello               |       |
    Then virtctl shows "SSH-2.0-OpenSSH_9.8"

    Examples:
      | kind |
      | vm   |
      | vmi  |

  Scenario: Nothing listens at that port
    When the user runs "virtctl port-forward --stdio=true vm/testvm 4711"
    Then virtctl fails with "dialing VM: "
    And virtctl fails with "connection refused"

  Scenario: A paused guest
    When the user runs "virtctl pause vm testvm"
    Then virtctl prints "VMI testvm was scheduled to pause"
    When the VM "testvm" shows "Paused"
    And the user runs "virtctl port-forward --stdio=true vm/testvm 22"
    Then virtctl fails with "VMI is paused"

  Scenario: Somebody who may only look
    Given the user "pat" with the cluster role "view"
    When the user runs "virtctl port-forward --stdio=true vm/testvm 22 --as=pat"
    Then virtctl fails with "cannot get resource "virtualmachines/portforward""

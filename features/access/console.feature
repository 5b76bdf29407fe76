Feature: The serial console
  `virtctl console` is a terminal of the guest: what is typed goes in, what the guest prints comes out.

  Scenario: Logging in and powering off
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Manual"
    And the user runs "virtctl start testvm"
    And the VM "testvm" is Running
    And the user runs "virtctl console testvm" and answers:
      | testvm login:      | fedora     |
      | Password:          | secret     |
      | [fedora@testvm ~]$ | echo hello |
      | hello              |            |
      | [fedora@testvm ~]$ |            |
    Then virtctl shows "Successfully connected to testvm console. Press Ctrl+] or Ctrl+5 to exit console."

  Scenario: The console waits for a guest that is not up yet
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "testvmi"
    And the user runs "virtctl console testvmi" and answers:
      | testvmi login: | |
    Then virtctl shows "Successfully connected to testvmi console."

  Scenario: A guest without a console
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "testvmi" with:
      | spec.domain.devices.autoattachSerialConsole | false |
    And the VMI "testvmi" becomes Running
    And the user runs "virtctl console testvmi --timeout=1"
    Then virtctl fails with "Timeout trying to connect to the virtual machine instance"

  Scenario: Somebody who may only look
    Given a cluster with 1 node
    And the user "pat" with the cluster role "view"
    When the client posts the VirtualMachineInstance "testvmi"
    And the VMI "testvmi" becomes Running
    And the user runs "virtctl console testvmi --as=pat"
    Then virtctl fails with "cannot get resource "virtualmachineinstances/console" in API group "subresources.kubevirt.io""

  Scenario: A guest that does not exist
    Given a cluster with 1 node
    When the user runs "virtctl console nobody"
    Then virtctl fails with "virtualmachineinstance.kubevirt.io "nobody" not found"

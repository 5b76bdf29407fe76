Feature: The screen
  `virtctl vnc` passes a viewer on to the guest; `virtctl vnc screenshot` saves what is on the screen.

  Background:
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "testvmi"
    And the VMI "testvmi" becomes Running

  Scenario: A viewer of one's own
    When the user runs "virtctl vnc testvmi --proxy-only" and a viewer connects
    Then the viewer sees the screen of "testvmi", 320 by 200

  Scenario: A picture of the screen
    When the user runs "virtctl vnc screenshot testvmi --file=shot.png"
    Then the file "shot.png" is a PNG

  Scenario: No viewer is installed
    When the user runs "virtctl vnc testvmi"
    Then virtctl fails with "could not find remote-viewer or vncviewer binary in $PATH"

  Scenario: A guest that does not run
    When the client deletes the VMI "testvmi"
    And the VMI "testvmi" is gone
    And the user runs "virtctl vnc testvmi --proxy-only"
    Then virtctl fails with "can't access VMI testvmi: virtualmachineinstance.kubevirt.io "testvmi" not found"

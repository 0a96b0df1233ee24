"""Jobs that are at work at once are bounded by this machine, and nobody is forgotten in the line."""

from __future__ import annotations

from mlinfra.emulator.places import Places


def test_places_are_given_in_the_order_of_the_line():
    told = []
    places = Places(2)
    tickets = [places.ask(lambda number=number: told.append(number)) for number in range(5)]
    assert told == [0, 1]
    places.give_back(tickets[3])
    places.give_back(tickets[1])
    places.give_back(tickets[1])
    assert told == [0, 1, 2]
    places.give_back(tickets[0])
    places.give_back(tickets[2])
    assert told == [0, 1, 2, 4]
    assert [ticket.granted for ticket in tickets] == [True, True, True, False, True]


def test_a_job_waits_as_pending_for_its_place_and_may_be_stopped_there(jobs, emulator):
    emulator.training.places = Places(1)
    first = jobs.create("import time; time.sleep(60)")
    jobs.training(first)
    second, third = jobs.create("print('second')"), jobs.create("print('third')")
    jobs.sagemaker.stop_training_job(TrainingJobName=second)
    assert jobs.end(second)["TrainingJobStatus"] == "Stopped"
    assert jobs.describe(third)["SecondaryStatus"] == "Pending"
    jobs.sagemaker.stop_training_job(TrainingJobName=first)
    assert jobs.end(third)["TrainingJobStatus"] == "Completed"
